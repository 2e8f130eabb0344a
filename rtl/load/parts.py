# SPDX-License-Identifier: Apache-2.0
"""Words in parts: units with fewer lanes than a word has elements take a word in several cycles."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out


# Two parts:
#
#   cycle      0       1       2       3
#   valid      word 0          word 1
#   o_valid    part 0  part 1  part 0  part 1
class Split(Component):
    """A word's parts, one a cycle, the first of them at once; with one part nothing but wires.

    Parameters
    ----------
    parts
        Parts of a word.
    word
        Layout of a word: an array of elements.
    tag
        Layout of a tag with `row_first` and `row_last`.

    Members
    -------
    valid : In(1), word : In, tag : In
        Words are at least `parts` cycles apart.
    o_valid : Out(1), part : Out
    o_tag : Out
        The word's, but only the first part is a row's first, and only the last part its last.

    Latency
    -------
    None to the first part.
    """

    valid: Signal
    word: Any
    tag: Any
    o_valid: Signal
    part: Any
    o_tag: Any

    def __init__(self, parts: int, word: data.ArrayLayout, tag: Any) -> None:
        self._parts, self._word, self._tag = parts, word, tag
        part = data.ArrayLayout(word.elem_shape, word.length // parts)
        super().__init__(
            {
                "valid": In(1),
                "word": In(word),
                "tag": In(tag),
                "o_valid": Out(1),
                "part": Out(part),
                "o_tag": Out(tag),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.d.comb += [self.o_valid.eq(self.valid), self.part.eq(self.word), self.o_tag.eq(self.tag)]
        if self._parts == 1:
            return m
        place = Signal(range(self._parts))
        waits = place != 0
        tag: Any = Signal(self._tag, reset_less=True)
        word = Signal(self._word, reset_less=True)
        with m.If(self.valid & ~waits):
            m.d.sync += [tag.eq(self.tag), word.eq(self.word), place.eq(1)]
        with m.If(waits):
            m.d.sync += place.eq(Mux(place == self._parts - 1, 0, place + 1))
            m.d.comb += [
                self.part.eq(word.as_value().word_select(place, len(self.part.as_value()))),
                self.o_tag.eq(tag),
                self.o_tag.row_first.eq(0),
            ]
        current = Mux(waits, tag.row_last, self.tag.row_last)
        m.d.comb += [
            self.o_valid.eq(self.valid | waits),
            self.o_tag.row_last.eq(current & (place == self._parts - 1)),
        ]
        return m


class Join(Component):
    """Words from their parts, which come in successive cycles; with one part nothing but wires.

    Parameters
    ----------
    parts
        Parts of a word.
    word
        Layout of a word: an array of elements.

    Members
    -------
    valid : In(1), part : In
    o_valid : Out(1), word : Out

    Latency
    -------
    None from the last part.
    """

    valid: Signal
    part: Any
    o_valid: Signal
    word: Any

    def __init__(self, parts: int, word: data.ArrayLayout) -> None:
        self._parts = parts
        part = data.ArrayLayout(word.elem_shape, word.length // parts)
        super().__init__({"valid": In(1), "part": In(part), "o_valid": Out(1), "word": Out(word)})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        part: Value = self.part.as_value()
        if self._parts == 1:
            m.d.comb += [self.o_valid.eq(self.valid), self.word.eq(part)]
            return m
        place = Signal(range(self._parts))
        held = Signal((self._parts - 1) * len(part), reset_less=True)
        last = place == self._parts - 1
        with m.If(self.valid):
            m.d.sync += [place.eq(Mux(last, 0, place + 1)), held.eq(Cat(held, part)[len(part) :])]
        m.d.comb += [self.o_valid.eq(self.valid & last), self.word.eq(Cat(held, part))]
        return m
