"""The Image's streams: constants and tables, weights, addends."""

from __future__ import annotations

import numpy as np

from hlsgen.lower.layout import Layout
from hlsgen.machine.image import CONSTANT_BYTES, NO_COMMAND, Item, item_header
from hlsgen.machine.parameters import MachineParameters, ceil_div
from hlsgen.ops import IntegerLinear


def pack_weights(
    op: IntegerLinear, source: Layout, result: Layout, k_steps: int, parameters: MachineParameters
) -> bytes:
    """Ring words for block, step; byte d*C + c of a word multiplies operand element d for column c."""
    columns, depth = parameters.columns, parameters.depth
    padded = np.zeros((result.words * columns, k_steps * depth), np.int8)
    padded[np.ix_(result.positions(), source.positions())] = op.weight
    words = padded.reshape(result.words, columns, k_steps, depth).transpose(0, 2, 3, 1)
    return words.tobytes()


def pack_constants(op: IntegerLinear, result: Layout, columns: int) -> bytes:
    """One constant word per block: bias int32, multiplier u16, shift u8, zero, for each column."""
    record = np.dtype([("bias", "<i4"), ("multiplier", "<u2"), ("shift", "u1"), ("zero", "u1")])
    words = np.zeros(result.words * columns, record)
    where = result.positions()
    words["bias"][where] = op.bias
    words["multiplier"][where] = op.multiplier
    words["shift"][where] = op.shift
    return words.tobytes()


def pack_addends(value: np.ndarray, groups: list[int], parameters: MachineParameters) -> bytes:
    """Words of C int16 in drain order: group, tile, block, row; tiles in whole groups of rows."""
    p, total = parameters, ceil_div(value.shape[1], parameters.columns)
    rows = p.padded_rows(value.shape[0])
    padded = np.zeros((rows, total * p.columns), "<i2")
    padded[: value.shape[0], : value.shape[1]] = value
    words = padded.reshape(rows, total, p.columns)
    parts, block = [], 0
    for count in groups:
        for first in range(0, rows, p.rows):
            tile = words[first : first + p.rows, block : block + count]
            parts.append(np.ascontiguousarray(tile.transpose(1, 0, 2)).tobytes())
        block += count
    return b"".join(parts)


class ConstantStream:
    """Builds the constant stream; keeps track of what each table bank holds."""

    def __init__(self, columns: int) -> None:
        self._word = columns * CONSTANT_BYTES
        self._parts: list[bytes] = []
        self._held: dict[tuple[Item, int], bytes] = {}
        self._users: dict[tuple[Item, int], int] = {}
        self._next: dict[Item, int] = {Item.ACTIVATION_TABLE: 0, Item.EXP_TABLE: 0}

    def constants(self, data: bytes) -> None:
        """Append the constant words of one command."""
        count = len(data) // self._word
        self._parts += [item_header(Item.CONSTANTS, 0, count, NO_COMMAND, self._word), data]

    def table(self, kind: Item, entries: np.ndarray, user: int) -> int:
        """The bank that holds `entries` for command `user`; appends a load unless one holds them."""
        data = entries.astype(np.uint8).tobytes()
        for bank in (0, 1):
            if self._held.get((kind, bank)) == data:
                self._users[kind, bank] = user
                return bank
        bank = self._next[kind]
        self._next[kind] = 1 - bank
        after = self._users.get((kind, bank), NO_COMMAND)
        padded = data.ljust(ceil_div(len(data), self._word) * self._word, b"\0")
        self._parts += [item_header(kind, bank, len(data), after, self._word), padded]
        self._held[kind, bank], self._users[kind, bank] = data, user
        return bank

    def pack(self) -> bytes:
        return b"".join(self._parts)
