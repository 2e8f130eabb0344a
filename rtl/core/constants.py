# SPDX-License-Identifier: Apache-2.0
"""The constant stream: constants for the ring, entries for the tables."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import GROUP, NO_COMMAND, Item, word_bytes
from hlsgen.rtl.drain.activation import ENTRIES
from hlsgen.rtl.format.streams import constant_word
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts
from hlsgen.rtl.parts.pipeline import without_reset

PART_BYTES = 8
"""Bytes of a table that are written in a cycle."""


# Constants of five blocks, then a table whose command has drained; two parts of it to a word:
#
#   cycle        0       1     2   3   4   5   6     7   8       9     10      11      12      13
#   words        header  high  b0  b1  b2  b3  high  b4  header  word 0 ...    word 0  word 1  word 1
#   words.ready  1       1     1   1   1   1   1     1   1       0     0       1       0       1
#   state        header  high  constants ...   high  c.  header  wait  table ...
#   constants                  b0  b1  b2  b3        b4
#   writing                                                            part 0  part 1  part 2  part 3
#   exp.valid                                                                  part 0  part 1  part 2


class ConstantReader(wiring.Component):
    """Takes the constant stream apart (`machine.constant_format`).

    The word with the high bytes of up to four blocks is kept while the blocks' own words pass.

    Parameters
    ----------
    columns
        C.
    exp_bits
        Bits of an exp table's index.

    Members
    -------
    words : In(stream of `word_bytes(C)` bytes)
    drained_commands : In(16)
        A table is written once command `after` has drained.
    constants : Out(stream)
        Words for the ring: the records of a block's columns.
    activation, exp, gate : Out(TableWrite)
        The tables; all three carry the same data.

    Latency
    -------
    0 cycles for constants.

    Throughput
    ----------
    One word of constants a cycle; eight table entries a cycle.
    """

    words: stream.Interface
    drained_commands: Signal
    constants: stream.Interface
    activation: TableWritePorts
    exp: TableWritePorts
    gate: TableWritePorts

    def __init__(self, columns: int, exp_bits: int) -> None:
        self._columns, self._exp_bits = columns, exp_bits
        super().__init__(
            {
                "words": In(stream.Signature(8 * word_bytes(columns))),
                "drained_commands": In(16),
                "constants": Out(stream.Signature(data.ArrayLayout(constant_word(), columns))),
                "activation": Out(TableWrite(ENTRIES)),
                "exp": Out(TableWrite(1 << exp_bits)),
                "gate": Out(TableWrite(1 << exp_bits)),
            }
        )
        for table in (self.activation, self.exp, self.gate):
            without_reset(table, "address")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        word = self.words.payload
        left, after, is_exp, bank = Signal(16), Signal(16), Signal(), Signal()
        parts = word_bytes(self._columns) // PART_BYTES
        part, address = Signal(range(max(2, parts))), Signal(self._exp_bits - 2)
        is_gate = Signal()
        high, place = Signal(8 * GROUP * self._columns, reset_less=True), Signal(range(GROUP))
        for column in range(self._columns):
            record = Cat(word[32 * column : 32 * column + 32], high[8 * column : 8 * column + 8])
            m.d.comb += self.constants.payload[column].eq(record)
        writing = Signal()
        entries = Signal(8 * PART_BYTES, reset_less=True)
        m.d.sync += [
            self.activation.valid.eq(writing & ~is_exp & ~is_gate),
            self.activation.address.eq(Cat(address[:5], bank)),
            self.exp.valid.eq(writing & is_exp),
            self.exp.address.eq(Cat(address[:-1], bank)),
            self.gate.valid.eq(writing & is_gate),
            self.gate.address.eq(address),
            entries.eq(word.word_select(part, 8 * PART_BYTES)),
        ]
        m.d.comb += [table.data.eq(entries) for table in (self.activation, self.exp, self.gate)]
        with m.FSM():
            with m.State("header"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += [
                    is_exp.eq(word[:8] == Item.EXP_TABLE),
                    is_gate.eq(word[:8] == Item.GATE_TABLE),
                    bank.eq(word[8]),
                    left.eq(word[32:48]),
                    after.eq(word[48:64]),
                    part.eq(0),
                    address.eq(0),
                ]
                with m.If(self.words.valid & (word[32:48] != 0)):
                    m.next = "wait"
                    with m.If(word[:8] == Item.CONSTANTS):
                        m.next = "high"
            with m.State("high"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += [high.eq(word), place.eq(0)]
                with m.If(self.words.valid):
                    m.next = "constants"
            with m.State("constants"):
                m.d.comb += [
                    self.constants.valid.eq(self.words.valid),
                    self.words.ready.eq(self.constants.ready),
                ]
                with m.If(self.words.valid & self.words.ready):
                    m.d.sync += [left.eq(left - 1), place.eq(place + 1), high.eq(high >> 8 * self._columns)]
                    with m.If(place == GROUP - 1):
                        m.next = "high"
                    with m.If(left == 1):
                        m.next = "header"
            with m.State("wait"), m.If((after == NO_COMMAND) | (self.drained_commands > after)):
                m.next = "table"
            with m.State("table"), m.If(self.words.valid):
                ends = left <= PART_BYTES
                m.d.comb += [writing.eq(1), self.words.ready.eq(ends | (part == parts - 1))]
                m.d.sync += [left.eq(left - PART_BYTES), address.eq(address + 1), part.eq(part + 1)]
                with m.If(self.words.ready):
                    m.d.sync += part.eq(0)
                with m.If(ends):
                    m.next = "header"
        return m


def ring_bits(columns: int) -> int:
    """Width of a constant ring word."""
    return data.ArrayLayout(constant_word(), columns).size
