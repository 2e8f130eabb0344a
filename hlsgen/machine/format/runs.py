# SPDX-License-Identifier: Apache-2.0
"""Run lists: which rows of a memory LOAD reads, in which order, as the Image holds them.

A run is 32 bits, little endian: where its first row lies in bits 0..19, its rows - 1 in 20..30, and in bit 31
whether these are rows of zeros, which lie nowhere. Rows of a run follow one another in memory. Row r of a
tensor whose rows are `stride` words apart lies at `r // W * stride * W + r % W`, W rows to a group: the
group's word, and the bank in the low bits.
"""

from __future__ import annotations

import itertools

import numpy as np

from hlsgen.errors import Problem, UsageError
from hlsgen.machine.format.parameters import ceil_div

PLACE_BITS, COUNT_BITS = 20, 11
ZERO_BIT = PLACE_BITS + COUNT_BITS
RUN_BYTES = 4
WORD_BYTES = 8
"""Bytes of a word of the memory of lists: two runs."""
MOST_ROWS = 1 << COUNT_BITS
"""Rows of one run."""


def pack_runs(rows: np.ndarray, stride: int, row_width: int) -> bytes:
    """The list of rows [T] of a tensor, -1 for rows of zeros, up to whole words of the memory."""
    rows = np.asarray(rows, np.int64)
    goes_on = np.where(rows[1:] < 0, rows[:-1] < 0, (rows[:-1] >= 0) & (rows[1:] == rows[:-1] + 1))
    starts = [0, *(np.flatnonzero(~goes_on) + 1), len(rows)]
    runs = []
    for start, end in itertools.pairwise(starts):
        for first in range(start, end, MOST_ROWS):
            count, row = min(MOST_ROWS, end - first), int(rows[first])
            place = row // row_width * stride * row_width + row % row_width if row >= 0 else 0
            if place >> PLACE_BITS:
                what = f"rows in another order must lie within {1 << PLACE_BITS} words of a memory"
                raise UsageError(
                    Problem(
                        f"{what}, not row {row} at word {place}",
                        why="a run of a run list has no more bits for its place",
                        fix="use an array of more columns, whose words are wider",
                    )
                )
            runs.append((row < 0) << ZERO_BIT | (count - 1) << PLACE_BITS | place)
    runs += [0] * (len(runs) % 2)
    return np.array(runs, "<u4").tobytes()


def unpack_runs(runs: np.ndarray, count: int, stride: int, row_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the first `count` rows of a list lie, in words of a memory of one bank; which are zeros."""
    lengths = (runs >> PLACE_BITS & (MOST_ROWS - 1)) + 1
    ends = np.cumsum(lengths)
    row = np.arange(count)
    run = np.searchsorted(ends, row, side="right")
    place = runs[run] & ((1 << PLACE_BITS) - 1)
    group, bank = place // row_width, place % row_width + row - (ends - lengths)[run]
    return (group + bank // row_width * stride) * row_width + bank % row_width * stride, runs[
        run
    ] >> ZERO_BIT > 0


def list_words(data: bytes) -> int:
    """Words of the memory that a list takes."""
    return ceil_div(len(data), WORD_BYTES)
