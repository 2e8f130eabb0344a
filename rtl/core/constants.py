# SPDX-License-Identifier: Apache-2.0
"""The constant stream: constants for the ring, entries for the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.constants import NO_COMMAND, QUAD, TABLE_ENTRIES, Item, word_bytes
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.streams import constant_word
from hlsgen.rtl.format.widths import key_list_entries, list_entries, shift_entries
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts
from hlsgen.rtl.parts.pipeline import address_bits, without_reset

_ITEMS = {"lists": Item.RUN_LIST, "key_lists": Item.KEY_LIST, "shifts": Item.NORM_SHIFTS}
"""What the memories of lists hold, by their ports."""

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
    exp_bits, index_bits
        Bits of the index of an exp table, of an activation's.
    digits
        Digits of exp: a bank has so many tables.
    list_entries, key_entries, shift_entries
        Entries of the memories of run lists, of key lists and of norm shifts; 0: there is none.

    Members
    -------
    words : In(stream of `word_bytes(C)` bytes)
    drained_commands : In(16)
        A table is written once command `after` has drained.
    constants : Out(stream)
        Words for the ring: the records of a block's columns.
    activation, exp, gate : Out(TableWrite)
        The tables; all three carry the same data.
    lists, key_lists, shifts : Out(TableWrite)
        The same for run lists, key lists and norm shifts; only where there are any.

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
    lists: TableWritePorts
    key_lists: TableWritePorts
    shifts: TableWritePorts

    def __init__(
        self,
        columns: int,
        exp_bits: int,
        list_entries: int = 0,
        key_entries: int = 0,
        shift_entries: int = 0,
        *,
        index_bits: int = 8,
        digits: int = 1,
    ) -> None:
        self._columns, self._index_bits = columns, index_bits
        self._exp_bits, self._exp_parts = exp_bits, (digits << exp_bits) // TABLE_ENTRIES
        entries = {"lists": list_entries, "key_lists": key_entries, "shifts": shift_entries}
        self._lists = {name: count for name, count in entries.items() if count}
        super().__init__(
            {
                "words": In(stream.Signature(8 * word_bytes(columns))),
                "drained_commands": In(16),
                "constants": Out(stream.Signature(data.ArrayLayout(constant_word(), columns))),
                "activation": Out(TableWrite(1 << index_bits)),
                "exp": Out(TableWrite(digits << exp_bits)),
                "gate": Out(TableWrite(1 << exp_bits)),
                **{name: Out(TableWrite(count)) for name, count in self._lists.items()},
            }
        )
        for table in self._tables:
            without_reset(table, "address")

    @property
    def _tables(self) -> list[TableWritePorts]:
        return [self.activation, self.exp, self.gate, *self._list_ports]

    @property
    def _list_ports(self) -> list[TableWritePorts]:
        runs = [self.lists] if "lists" in self._lists else []
        keys = [self.key_lists] if "key_lists" in self._lists else []
        return [*runs, *keys, *([self.shifts] if "shifts" in self._lists else [])]

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        word, left, after = self.words.payload, Signal(16), Signal(16)
        at, writing = _TablePart(self._columns, self._exp_bits, self._lists, self._index_bits), Signal()
        ends, one_left = Signal(), Signal()  # `left` is a part at most; one block
        # A register for each state: `ready` has a long way to go.
        header, table = Signal(init=1), Signal()
        high, blocks, waits = Signal(), Signal(), Signal()
        keeps = Signal(attrs={"keep": "true"})  # `high` once more, for the many bits that are kept
        m.d.comb += self.words.ready.eq(
            header | high | (blocks & self.constants.ready) | (table & (ends | at.last))
        )
        with m.If(header):
            m.d.sync += [*at.begin(word), left.eq(word[32:48]), after.eq(word[48:64])]
            m.d.sync += [ends.eq(word[32:48] <= TABLE_ENTRIES), one_left.eq(word[32:48] == 1)]
            with m.If(self.words.valid & (word[32:48] != 0)):
                is_constants = word[:8] == Item.CONSTANTS
                m.d.sync += [
                    header.eq(0),
                    high.eq(is_constants),
                    keeps.eq(is_constants),
                    waits.eq(~is_constants),
                ]
        self._read_constants(m, (left, one_left), (header, high, keeps, blocks))
        with m.If(waits & ((after == NO_COMMAND) | (self.drained_commands > after))):
            m.d.sync += [waits.eq(0), table.eq(1)]
        with m.If(table & self.words.valid):
            m.d.comb += writing.eq(1)
            m.d.sync += [left.eq(left - TABLE_ENTRIES), ends.eq(left <= 2 * TABLE_ENTRIES), *at.advance()]
            with m.If(ends | at.last):
                m.d.sync += at.to_first()
            with m.If(ends):
                m.d.sync += [table.eq(0), header.eq(1)]
        self._write_table(m, at, writing)
        return m

    def _read_constants(self, m: Module, count: tuple[Signal, Signal], states: tuple[Signal, ...]) -> None:
        """A word with the high bytes of four blocks, then each block's own.

        count: blocks left, whether it is one. states: header, high and its copy, blocks.
        """
        (left, one_left), (header, high, keeps, blocks) = count, states
        word, constants = self.words.payload, self.constants
        upper, place = Signal(8 * QUAD * self._columns, reset_less=True), Signal(range(QUAD))
        moves = blocks & self.words.valid & constants.ready
        for column in range(self._columns):
            record = Cat(word[32 * column : 32 * column + 32], upper[8 * column : 8 * column + 8])
            m.d.comb += constants.payload[column].eq(record)
        m.d.comb += constants.valid.eq(blocks & self.words.valid)
        with m.If(keeps):
            m.d.sync += upper.eq(word)
        with m.If(high):
            m.d.sync += place.eq(0)
            with m.If(self.words.valid):
                m.d.sync += [high.eq(0), keeps.eq(0), blocks.eq(1)]
        with m.If(moves):
            m.d.sync += [
                left.eq(left - 1),
                place.eq(place + 1),
                upper.eq(upper.rotate_right(8 * self._columns)),
            ]
            m.d.sync += one_left.eq(left == 2)
            with m.If(place == QUAD - 1):
                m.d.sync += [blocks.eq(0), high.eq(1), keeps.eq(1)]
            with m.If(one_left):
                m.d.sync += [blocks.eq(0), high.eq(0), keeps.eq(0), header.eq(1)]

    def _write_table(self, m: Module, at: _TablePart, writing: Value) -> None:
        """The part to the table that the item is for, from registers."""
        entries = Signal(8 * TABLE_ENTRIES, reset_less=True)
        activation = writing & ~at.is_exp & ~at.is_gate
        for is_list in at.is_list:
            activation = activation & ~is_list
        m.d.sync += [
            self.activation.valid.eq(activation),
            self.activation.address.eq(Cat(at.address[: self._index_bits - 3], at.bank)),
            self.exp.valid.eq(writing & at.is_exp),
            self.exp.address.eq(Cat(at.address[: address_bits(self._exp_parts)], at.bank)),
            self.gate.valid.eq(writing & at.is_gate),
            self.gate.address.eq(at.address),
            entries.eq(self.words.payload.word_select(at.part, 8 * TABLE_ENTRIES)),
        ]
        for port, is_list in zip(self._list_ports, at.is_list, strict=True):
            m.d.sync += [port.valid.eq(writing & is_list), port.address.eq(at.address)]
        m.d.comb += [table.data.eq(entries) for table in self._tables]


class _TablePart:
    """Registers: which table is written, which part of it, and where that stands in the word."""

    def __init__(self, columns: int, exp_bits: int, lists: Mapping[str, int], index_bits: int) -> None:
        self._parts = word_bytes(columns) // TABLE_ENTRIES
        self.is_exp, self.is_gate, self.bank = (
            Signal(name="is_exp"),
            Signal(name="is_gate"),
            Signal(name="bank"),
        )
        self.part = Signal(range(max(2, self._parts)), name="part")
        self.last = Signal(name="last")
        """The word's last part: known a cycle ahead."""
        bits = max([exp_bits, index_bits - 1, *map(address_bits, lists.values())])
        self.address = Signal(bits - 2, name="address")
        self._items = [_ITEMS[name] for name in lists]
        self._placed = bool(lists) or index_bits > 8
        names = {Item.RUN_LIST: "is_list", Item.KEY_LIST: "is_key_list", Item.NORM_SHIFTS: "is_shift"}
        self.is_list = [Signal(name=names[item]) for item in self._items]

    def to_first(self) -> list[Any]:
        """Statements: to a word's first part."""
        return [self.part.eq(0), self.last.eq(self._parts == 1)]

    def begin(self, header: Value) -> list[Any]:
        """Statements: to the first part of the item with this header."""
        place = [self.address.eq(header[16:32] if self._placed else 0)]
        pairs = zip(self.is_list, self._items, strict=True)
        place += [is_list.eq(header[:8] == item) for is_list, item in pairs]
        return [
            self.is_exp.eq(header[:8] == Item.EXP_TABLE),
            self.is_gate.eq(header[:8] == Item.GATE_TABLE),
            self.bank.eq(header[8]),
            *place,
            *self.to_first(),
        ]

    def advance(self) -> list[Any]:
        """Statements: to the next part."""
        steps = [self.address.eq(self.address + 1), self.part.eq(self.part + 1)]
        return [*steps, self.last.eq(self.part == self._parts - 2)]


def ring_bits(columns: int) -> int:
    """Width of a constant ring word."""
    return data.ArrayLayout(constant_word(), columns).size


def constant_reader(p: MachineParameters) -> ConstantReader:
    """The reader of a machine's tables."""
    entries = list_entries(p), key_list_entries(p), shift_entries(p)
    bits = {"index_bits": p.activation_bits, "digits": p.numerator_digits}
    return ConstantReader(p.columns, p.logit_bits, *entries, **bits)
