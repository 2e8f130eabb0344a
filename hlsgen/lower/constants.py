# SPDX-License-Identifier: Apache-2.0
"""The Image's streams: constants and tables, weights, addends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.ir import Op
from hlsgen.lower.layout import Layout
from hlsgen.lower.shape import Shape
from hlsgen.lower.taps import Walk
from hlsgen.machine.format.constants import NO_COMMAND, Item, item, pack_constants, table_place, word_bytes
from hlsgen.machine.format.narrow import pack_narrow
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters, ceil_div
from hlsgen.machine.format.program import OutputLayout
from hlsgen.ops import IntegerExp, IntegerGroupedLinear, IntegerLinear, IntegerMatmul, IntegerTable


def constant_stream(p: MachineParameters) -> ConstantStream:
    """An empty stream of a machine's."""
    return ConstantStream(p.columns, aligned=p.planned, index_bits=p.activation_bits)


def pack_weights(
    op: IntegerLinear, source: Layout, result: Layout, shape: Shape, parameters: MachineParameters
) -> bytes:
    """Ring words for block, step; byte d*C + c of a word multiplies operand element d for column c."""
    columns, depth, k_steps = parameters.columns, parameters.depth, shape.k_steps
    if shape.parts > 1:  # a diagonal
        every = np.zeros(result.words * columns, np.int8)
        every[result.positions()] = np.diag(op.weight)
        padded = every.reshape(shape.parts, -1, 1) * np.eye(k_steps * depth, dtype=np.int8)
    else:
        if shape.walk:
            k_steps = -(-source.elements // depth)
        padded = np.zeros((result.words * columns, k_steps * depth), np.int8)
        padded[np.ix_(result.positions(), source.positions())] = op.weight
    words = padded.reshape(result.words, columns, k_steps, depth).transpose(0, 2, 3, 1)
    return _bytes(walked(words, shape.walk), shape)


def _bytes(words: np.ndarray, shape: Shape) -> bytes:
    """The weights of a command's steps [blocks, steps, D, C] as ring words."""
    return (pack_narrow(words) if shape.narrow else words).tobytes()


def walked(words: np.ndarray, walk: Walk | None) -> np.ndarray:
    """Of the words of whole rows [blocks, steps, D, C] those that the blocks read."""
    if walk is None:
        return words
    return np.stack([words[block, walk.read(block)] for block in range(len(words))])


def pack_grouped(
    op: IntegerGroupedLinear, result: Layout, shape: Shape, parameters: MachineParameters
) -> bytes:
    """Ring words for group, block, step; a group's as those of a linear layer."""
    columns, depth, k_steps = parameters.columns, parameters.depth, shape.k_steps
    outputs, inputs = len(op.weight) // op.groups, op.weight.shape[1]
    words = result.head_words or result.words
    padded = np.zeros((op.groups, words * columns, k_steps * depth), np.int8)
    padded[:, :outputs, :inputs] = op.weight.reshape(op.groups, outputs, inputs)
    steps = padded.reshape(op.groups * words, columns, k_steps, depth).transpose(0, 2, 3, 1)
    return _bytes(steps, shape)


def block_constants(op: IntegerLinear | IntegerGroupedLinear, result: Layout, columns: int) -> np.ndarray:
    """Bias, multiplier and shift [3, blocks, C]; zero in padding columns."""
    fields = np.zeros((3, result.words * columns), np.int64)
    fields[:, result.positions()] = op.bias, op.multiplier, op.shift
    return fields.reshape(3, result.words, columns)


def product_constants(op: IntegerMatmul, result: Layout, columns: int) -> np.ndarray:
    """Bias, multiplier and shift [3, blocks, C] of a product of two tensors; zero in padding columns."""
    real = np.zeros(result.words * columns, bool)
    real[result.positions()] = True
    real = np.tile(real, op.heads) if op.stacked else real
    fields = np.zeros((3, len(real)), np.int64)
    fields[1, real], fields[2, real] = op.multiplier, op.shift
    return fields.reshape(3, -1, columns)


def pack_addends(value: np.ndarray, sweeps: int, parameters: MachineParameters) -> bytes:
    """Addends [T, D] of a command with so many groups: int16 in the order of an output of that shape."""
    rows, columns = value.shape
    layout = OutputLayout(tensor="", rows=rows, columns=columns, sweeps=sweeps)
    return layout.drained(value, parameters).tobytes()


@dataclass(frozen=True)
class Table:
    """A table with its bank, and the command that must have drained before it is loaded.

    place: the first eight entries of its memory that it takes.
    """

    kind: Item
    bank: int
    after: int
    data: bytes
    place: int = 0


def table_entries(op: Op) -> np.ndarray | None:
    """Entries of an op's table as the machine has them, the low digits first; None: it has no table."""
    match op:
        case IntegerTable(table=table) | IntegerExp(table=table, digits=1):
            return table
        case IntegerExp(table=table):
            return np.concatenate([table & 255, table >> 8])
        case _:
            return None


class ConstantStream:
    """Builds the constant stream; keeps track of what each table bank holds."""

    def __init__(self, columns: int, *, aligned: bool = False, index_bits: int = 8) -> None:
        """index_bits: those of the machine's tables of activations."""
        self._columns, self._word, self._index_bits = columns, word_bytes(columns), index_bits
        self._aligned = aligned
        self._parts: list[bytes] = []
        self._begin = 0
        self._held: dict[tuple[Item, int], bytes] = {}
        self._users: dict[tuple[Item, int], int] = {}
        self._next: dict[Item, int] = {Item.ACTIVATION_TABLE: 0, Item.EXP_TABLE: 0}

    def constants(self, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> None:
        """Append the constants [blocks, C] of one command."""
        data = pack_constants(bias, multiplier, shift)
        self._parts.append(item(Item.CONSTANTS, 0, len(bias), NO_COMMAND, data, self._columns))

    def placed(self, kind: Item, place: int, data: bytes) -> None:
        """Append lists of a kind, or norm shifts, from place `place` of their memory on."""
        self._parts.append(item(kind, 0, len(data), NO_COMMAND, data, self._columns, place))

    def section(self) -> tuple[int, int]:
        """End a command's part: its units of 64 bytes, up to which it is padded, and its words.

        (0, 0) where parts follow one another without padding.
        """
        if not self._aligned:
            return 0, 0
        size = sum(map(len, self._parts[self._begin :]))
        units = ceil_div(size, SECTION_ALIGN)
        self._parts.append(bytes(units * SECTION_ALIGN - size))
        self._begin = len(self._parts)
        return units, size // self._word

    def forget(self) -> None:
        """Forget the contents of all banks: a command that loads may be skipped."""
        self._held.clear()

    def reserve(self, kind: Item, entries: np.ndarray, user: int) -> Table:
        """A table for commands up to `user` in a bank of its own, to be loaded by `load`."""
        data = entries.astype("<u2" if kind is Item.GATE_TABLE else np.uint8).tobytes()
        bank = self._next.get(kind, 0)
        if kind in self._next:
            self._next[kind] = 1 - bank
        after = self._users.get((kind, bank), NO_COMMAND)
        self._held.pop((kind, bank), None)
        self._users[kind, bank] = user
        place = table_place(len(data), self._index_bits) if kind is Item.ACTIVATION_TABLE else 0
        return Table(kind, bank, after, data, place)

    def load(self, table: Table) -> None:
        """Append the load of a reserved table."""
        of = table.kind, table.bank, len(table.data), table.after, table.data
        self._parts.append(item(*of, self._columns, table.place))

    def table(self, kind: Item, entries: np.ndarray, user: int) -> int:
        """The bank that holds `entries` for command `user`; appends a load unless one holds them."""
        data = entries.astype(np.uint8).tobytes()
        for bank in (0, 1):
            if self._held.get((kind, bank)) == data:
                self._users[kind, bank] = user
                return bank
        table = self.reserve(kind, entries, user)
        self.load(table)
        self._held[kind, table.bank] = data
        return table.bank

    def pack(self) -> bytes:
        return b"".join(self._parts)
