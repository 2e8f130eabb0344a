# SPDX-License-Identifier: Apache-2.0
"""Key lists: which keys each tile of attention reads, as the Image holds them.

A tile has several runs of keys that follow one another, one run behind the other. A word of the memory of key
lists is a run. Its low 32 bits say where its keys lie, its high 32 bits where their values do, both little
endian: the word of that memory in bits 0..19, and in 20..30 how many there are, less one. Of keys these are
blocks of C, of values steps of D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.format.runs import COUNT_BITS, PLACE_BITS, WORD_BYTES


class Shape(Protocol):
    """An array's shape, as far as it says how keys lie."""

    @property
    def columns(self) -> int: ...
    @property
    def depth(self) -> int: ...


Run = tuple[int, int]
"""The first unit of a run, and how many it has."""
MOST_RUNS = (1 << FIELD_BITS["key_runs"]) - 1
"""Runs of a tile."""


def key_unit(p: Shape) -> int:
    """Keys of a unit: whole blocks of keys and whole steps of values."""
    return max(p.columns, p.depth)


def most_units(p: Shape) -> int:
    """Units of one run."""
    return (1 << COUNT_BITS) // (key_unit(p) // min(p.columns, p.depth))


def pack_key_runs(
    tiles: Sequence[Sequence[Run]], p: Shape, words: tuple[int, int], bases: tuple[int, int]
) -> bytes:
    """The list of tiles, each with as many runs.

    words, bases: of keys and of values, the words of a block, or step, and where unit 0 lies.
    """
    runs = np.array(tiles, np.int64).reshape(-1, 2)
    sides = []
    for lanes, each, base in zip((p.columns, p.depth), words, bases, strict=True):
        steps = key_unit(p) // lanes
        sides.append((runs[:, 1] * steps - 1) << PLACE_BITS | (base + runs[:, 0] * steps * each))
    return np.stack(sides, -1).astype("<u4").tobytes()


def unpack_key_runs(runs: np.ndarray, words: int) -> np.ndarray:
    """Where each block, or step, of the runs lies, of so many words each."""
    places, counts = runs & ((1 << PLACE_BITS) - 1), (runs >> PLACE_BITS) + 1
    return np.concatenate(
        [place + np.arange(count) * words for place, count in zip(places, counts, strict=True)]
    )


def key_list_words(data: bytes) -> int:
    """Words of the memory that lists take."""
    return ceil_div(len(data), WORD_BYTES)
