# SPDX-License-Identifier: Apache-2.0
"""Bundles inside LOAD: what its units take and give, so that all of them look alike from outside.

A unit has a `latency`: cycles from its words at its input to the operand words that it makes of them.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from amaranth import Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import load_tag
from hlsgen.rtl.format.widths import group_lanes
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.ports import Bundle

SUM_BITS = 28
"""Sum of up to 4096 int16, signed."""
SQUARES_BITS = 43
"""Sum of up to 4096 squares of int16."""
DENOMINATOR_BITS = 24
"""Sum of up to 65535 exp values."""


class Operand(NamedTuple):
    """Operand words of a group from one of the units."""

    valid: Value
    word: Value
    tag: Any


class WordsPorts(wiring.PureInterface):
    """An interface of `Words`."""

    valid: Signal
    word: Any
    tag: Any


class Words(Bundle):
    """Words of one row of a group on their way into a unit, or operand words out of it (`Out`).

    valid : Out(1), word : Out(C elements), tag : Out(load_tag)
    """

    interface: ClassVar = WordsPorts

    def __init__(self, p: MachineParameters, layout: data.ArrayLayout, trace: bool) -> None:
        super().__init__({"valid": Out(1), "word": Out(layout), "tag": Out(load_tag(p, trace))})


class ScoresPorts(wiring.PureInterface):
    """An interface of `Scores`."""

    valid: Signal
    first: Signal
    last: Signal
    mask: Signal
    hides: Signal
    high: Signal
    bank: Signal
    maximum: Signal
    logits: Any


class Scores(Bundle):
    """Words of logits on their way to their exps.

    valid, first, last : Out(1)
        A word; the row's first, its last.
    mask : Out(C)
        Columns that are keys; the others give 0.
    hides : Out(1)
        Keys of the lowest logit give 0, too; only in machines that add to scores.
    high : Out(1)
        The high digits; only in machines whose exps have two.
    bank : Out(1)
        Of the exp table.
    maximum : Out(signed logit), logits : Out(C x signed logit)
        The row's largest logit, and the word.
    """

    interface: ClassVar = ScoresPorts

    def __init__(self, p: MachineParameters) -> None:
        flags = {name: Out(1) for name in ("valid", "first", "last")}
        logits = {"maximum": Out(signed(p.logit_bits)), "logits": Out(words_of(p.logit_bits, p.columns))}
        flags |= {"hides": Out(1)} if p.score_addends else {}
        flags |= {"high": Out(1)} if p.numerator_digits > 1 else {}
        super().__init__({**flags, "mask": Out(p.columns), "bank": Out(1), **logits})


class ColumnPorts(wiring.PureInterface):
    """An interface of `Column`."""

    pools: Signal
    to_norm: Signal
    first: Signal
    last: Signal
    rows: Signal
    words: Any


class Column(Bundle):
    """What pooling wants to know beside a residual word: all words of its group, and where its column stands.

    pools, to_norm : Out(1)
        Words are to be added up; the sum goes on as a row's word. They hold for a whole tile.
    first, last : Out(1)
        The column's first, last group.
    rows : Out(W), words : Out(W*C x signed 16)
        Which of the words count, and the words.
    """

    interface: ClassVar = ColumnPorts

    def __init__(self, p: MachineParameters) -> None:
        flags = {name: Out(1) for name in ("pools", "to_norm", "first", "last")}
        super().__init__({**flags, "rows": Out(p.row_width), "words": Out(words_of(16, group_lanes(p)))})


class NormRowPorts(wiring.PureInterface):
    """An interface of `NormRow`."""

    start: Signal
    sum: Signal
    squares: Signal
    valid: Signal
    multiplier: Signal
    shift: Signal


class NormRow(Bundle):
    """A row of layer norm (`Out`) and the unit that finds its multiplier.

    start : Out(1), sum : Out(signed), squares : Out
        A row is complete: the sum of its elements and that of their squares.
    valid : In(1), multiplier : In(16), shift : In(signed 8)
        `latency.ROW_NORM` cycles later. A negative shift is one to the left.
    """

    interface: ClassVar = NormRowPorts

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "sum": Out(signed(SUM_BITS)),
                "squares": Out(SQUARES_BITS),
                "valid": In(1),
                "multiplier": In(16),
                "shift": In(signed(8)),
            }
        )


class ContextRowPorts(wiring.PureInterface):
    """An interface of `ContextRow`."""

    start: Signal
    denominator: Signal


class ContextRow(Bundle):
    """A row of exps (`Out`): it is complete (`start : Out(1)`), and their sum (`denominator : Out`)."""

    interface: ClassVar = ContextRowPorts

    def __init__(self) -> None:
        super().__init__({"start": Out(1), "denominator": Out(DENOMINATOR_BITS)})
