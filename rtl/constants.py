"""The constant stream: constants for the ring, entries for the tables."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.rtl.pipeline import without_reset

KIND_CONSTANTS, KIND_ACTIVATION, KIND_EXP, KIND_GATE = 1, 2, 3, 4
ANY_TIME = 0xFFFF
"""`after` of a table that need not wait."""


def constant_word() -> data.StructLayout:
    """What a column needs of its 8 bytes."""
    return data.StructLayout({"bias": signed(32), "multiplier": 16, "shift": 6})


class ConstantReader(wiring.Component):
    """Takes the constant stream apart.

    Parameters
    ----------
    columns
        C.
    exp_bits
        Bits of an exp table's index.

    Members
    -------
    words : In(stream of C * 8 bytes)
    drained_commands : In(16)
        A table is written once command `after` has drained.
    constants : Out(stream)
        Words for the ring.
    activation_write, exp_write : Out(1)
    activation_address, exp_address : Out
        Bank and eighth of an entry's index.
    gate_write : Out(1), gate_address : Out
        Quarter of an entry's index: entries of the gate table have 16 bits.
    table_data : Out(64)

    Latency
    -------
    1 cycle for constants.

    Throughput
    ----------
    One constant word a cycle; eight table entries a cycle.
    """

    words: stream.Interface
    drained_commands: Signal
    constants: stream.Interface
    activation_write: Signal
    exp_write: Signal
    activation_address: Signal
    exp_address: Signal
    gate_write: Signal
    gate_address: Signal
    table_data: Signal

    def __init__(self, columns: int, exp_bits: int) -> None:
        self._columns, self._exp_bits = columns, exp_bits
        super().__init__(
            {
                "words": In(stream.Signature(64 * columns)),
                "drained_commands": In(16),
                "constants": Out(stream.Signature(data.ArrayLayout(constant_word(), columns))),
                "activation_write": Out(1),
                "exp_write": Out(1),
                "activation_address": Out(6),
                "exp_address": Out(exp_bits - 2),
                "gate_write": Out(1),
                "gate_address": Out(exp_bits - 2),
                "table_data": Out(64),
            }
        )
        without_reset(self, "table_data", "activation_address", "exp_address", "gate_address")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        word = self.words.payload
        left, after, is_exp, bank = Signal(16), Signal(16), Signal(), Signal()
        part, address = Signal(range(max(2, self._columns))), Signal(self._exp_bits - 2)
        is_gate = Signal()
        for column in range(self._columns):
            eight = word[64 * column : 64 * column + 64]
            m.d.comb += self.constants.payload[column].eq(eight[:54])
        writing = Signal()
        m.d.sync += [
            self.activation_write.eq(writing & ~is_exp & ~is_gate),
            self.gate_write.eq(writing & is_gate),
            self.gate_address.eq(address),
            self.exp_write.eq(writing & is_exp),
            self.activation_address.eq(Cat(address[:5], bank)),
            self.exp_address.eq(Cat(address[:-1], bank)),
            self.table_data.eq(word.word_select(part, 64)),
        ]
        with m.FSM():
            with m.State("header"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += [
                    is_exp.eq(word[:8] == KIND_EXP),
                    is_gate.eq(word[:8] == KIND_GATE),
                    bank.eq(word[8]),
                    left.eq(word[32:48]),
                    after.eq(word[48:64]),
                    part.eq(0),
                    address.eq(0),
                ]
                with m.If(self.words.valid & (word[32:48] != 0)):
                    m.next = "wait"
                    with m.If(word[:8] == KIND_CONSTANTS):
                        m.next = "constants"
            with m.State("constants"):
                m.d.comb += [
                    self.constants.valid.eq(self.words.valid),
                    self.words.ready.eq(self.constants.ready),
                ]
                with m.If(self.words.valid & self.words.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "header"
            with m.State("wait"), m.If((after == ANY_TIME) | (self.drained_commands > after)):
                m.next = "table"
            with m.State("table"), m.If(self.words.valid):
                ends = left <= 8
                m.d.comb += [writing.eq(1), self.words.ready.eq(ends | (part == self._columns - 1))]
                m.d.sync += [left.eq(left - 8), address.eq(address + 1), part.eq(part + 1)]
                with m.If(self.words.ready):
                    m.d.sync += part.eq(0)
                with m.If(ends):
                    m.next = "header"
        return m


def ring_bits(columns: int) -> int:
    """Width of a constant ring word."""
    return data.ArrayLayout(constant_word(), columns).size
