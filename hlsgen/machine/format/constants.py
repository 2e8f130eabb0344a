# SPDX-License-Identifier: Apache-2.0
"""The constant stream's format: what lowering writes and the interpreter, the cycle model and the RTL read.

The stream is words of `word_bytes(C)` bytes, little endian. An item is a header word, then its payload:

- constants: a record of 40 bits for each block and column, bias in bits 0..18, multiplier in 19..33, shift in
  34..39. Four blocks are a quad; the last quad has the blocks that are left. A quad is one word with bits
  32..39 of its records, that of block b and column c in byte b*C + c. One word for each block follows, with
  bits 0..31 of its records, that of column c from byte 4*c on. The other bytes of a word are zero.
- a table, a run list, or norm shifts: its entries, padded to whole words. A list says to which word of its
  memory it goes, shifts to which 8 bytes of theirs, the table of an activation to which eight entries: a
  table shorter than the machine's lies in the middle.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hlsgen.machine.format.parameters import ceil_div
from hlsgen.numerics import BIAS_BITS, MULTIPLIER_BITS, SHIFT_BITS, Integers

RECORD_BITS = BIAS_BITS + MULTIPLIER_BITS + SHIFT_BITS
QUAD = 4
"""Blocks whose high bytes share a word: four low bytes beside each of them, so that words are of one size."""
HEADER = struct.Struct("<BBHHH")
NO_COMMAND = 0xFFFF
TABLE_ENTRIES = 8
"""Entries of a table, of a byte, that are written together."""


class Item(IntEnum):
    """Kinds of item on the constant stream."""

    CONSTANTS = 1
    ACTIVATION_TABLE = 2
    EXP_TABLE = 3
    GATE_TABLE = 4  # entries of two bytes
    RUN_LIST = 5  # runs of `hlsgen/machine/format/runs.py`
    KEY_LIST = 6  # runs of `hlsgen/machine/format/key_runs.py`
    NORM_SHIFTS = 7  # of `hlsgen/machine/format/norm_shifts.py`


def word_bytes(columns: int) -> int:
    """Bytes of a word: four for each column, and at least an item's header, which is also a table's part."""
    return max(HEADER.size, QUAD * columns)


def block_words(blocks: int) -> int:
    """Words that the constants of so many blocks take, which are also those up to the last of them."""
    return blocks + ceil_div(blocks, QUAD)


def table_place(entries: int, bits: int) -> int:
    """The first eight entries that an activation's table takes of one with an index of so many bits."""
    return ((1 << bits) - entries) // 2 // TABLE_ENTRIES


def payload_words(kind: int, count: int, columns: int) -> int:
    """Words behind an item's header: `count` are blocks of constants, bytes of a table or a list."""
    return block_words(count) if kind == Item.CONSTANTS else ceil_div(count, word_bytes(columns))


def item(
    kind: Item, bank: int, count: int, after: int, payload: bytes, columns: int, place: int = 0
) -> bytes:
    """An item: its header word and its payload in whole words; `place`: a list's first word."""
    word = word_bytes(columns)
    padded = payload.ljust(payload_words(kind, count, columns) * word, b"\0")
    return HEADER.pack(kind, bank, place, count, after).ljust(word, b"\0") + padded


@dataclass(frozen=True)
class ConstantItem:
    """A command's constants: integers [blocks, C]."""

    bias: Integers
    multiplier: Integers
    shift: Integers


def pack_constants(bias: ArrayLike, multiplier: ArrayLike, shift: ArrayLike) -> bytes:
    """The payload of constants [blocks, C]; raises `ValueError` where a field does not fit its bits."""
    half = 1 << (BIAS_BITS - 1)
    fields = (
        _checked("bias", bias, -half, half - 1) & ((1 << BIAS_BITS) - 1),
        _checked("multiplier", multiplier, 0, (1 << MULTIPLIER_BITS) - 1) << BIAS_BITS,
        _checked("shift", shift, 0, (1 << SHIFT_BITS) - 1) << (BIAS_BITS + MULTIPLIER_BITS),
    )
    records = fields[0] | fields[1] | fields[2]
    blocks, columns = records.shape
    quads, width = ceil_div(blocks, QUAD), word_bytes(columns)
    whole = np.zeros((quads * QUAD, columns), np.int64)
    whole[:blocks] = records
    words = np.zeros((quads, 1 + QUAD, width), np.uint8)
    words[:, 0, : QUAD * columns] = (whole >> 32).astype(np.uint8).reshape(quads, QUAD * columns)
    low = (whole & 0xFFFFFFFF).astype("<u4").view(np.uint8)
    words[:, 1:, : QUAD * columns] = low.reshape(quads, QUAD, QUAD * columns)
    return words.reshape(-1, width)[: block_words(blocks)].tobytes()


def unpack_constants(payload: bytes, blocks: int, columns: int) -> ConstantItem:
    """What `pack_constants` packed."""
    quads, width = ceil_div(blocks, QUAD), word_bytes(columns)
    whole = np.frombuffer(payload.ljust(quads * (1 + QUAD) * width, b"\0"), np.uint8)
    words = whole.reshape(quads, 1 + QUAD, width)[:, :, : QUAD * columns]
    high = words[:, 0].reshape(-1, columns)[:blocks].astype(np.int64)
    low = np.ascontiguousarray(words[:, 1:]).view("<u4").reshape(-1, columns)[:blocks]
    records = high << 32 | low.astype(np.int64)
    half = 1 << (BIAS_BITS - 1)
    return ConstantItem(
        bias=((records & ((1 << BIAS_BITS) - 1)) ^ half) - half,
        multiplier=records >> BIAS_BITS & ((1 << MULTIPLIER_BITS) - 1),
        shift=records >> (BIAS_BITS + MULTIPLIER_BITS),
    )


class Table(NamedTuple):
    """A table in the constant stream: its byte, its entries, and the command that must have drained first."""

    at: int
    entries: int
    after: int


class ConstantMap(NamedTuple):
    """Bytes of the constant stream: where each weight command's words begin; ranges that no ring keeps."""

    offsets: list[int]
    passing: list[tuple[int, int]]
    tables: list[Table]
    """All of them; `after` is `NO_COMMAND` for those that wait for none."""


def constant_map(stream: bytes, columns: int) -> ConstantMap:
    """What lies where in a constant stream."""
    word, at = word_bytes(columns), 0
    offsets: list[int] = []
    passing: list[tuple[int, int]] = []
    tables: list[Table] = []
    while at < len(stream):
        kind, _, _, count, after = HEADER.unpack_from(stream, at)
        size = payload_words(kind, count, columns) * word
        if kind == Item.CONSTANTS:
            offsets.append(at + word)
            passing.append((at, at + word))
            quads = range(at + word, at + word + size, (1 + QUAD) * word)
            passing += [(high, high + word) for high in quads]
        else:
            passing.append((at, at + word + size))
            tables.append(Table(at, count, after))
        at += word + size
    return ConstantMap(offsets, passing, tables)


def command_words(stream: bytes, columns: int) -> list[int]:
    """Words of the constant stream that each weight command takes: its tables and its constants."""
    word, at, begin = word_bytes(columns), 0, 0
    result = []
    while at < len(stream):
        kind, _, _, count, _ = HEADER.unpack_from(stream, at)
        at += word + payload_words(kind, count, columns) * word
        if kind == Item.CONSTANTS:
            result.append((at - begin) // word)
            begin = at
    return result


def _checked(name: str, values: ArrayLike, low: int, high: int) -> Integers:
    """The values as integers of 64 bits; the ops' type rules have refused others before."""
    result = np.asarray(values, np.int64)
    if result.size and (result.min() < low or result.max() > high):
        raise ValueError(f"{name} must be in {low}..{high}, not {result.min()}..{result.max()}")
    return result
