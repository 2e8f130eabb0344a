# SPDX-License-Identifier: Apache-2.0
"""Attention by key lists: each tile reads the blocks of keys that its queries see, wherever they lie.

A list has a tile's blocks as runs. All tiles of a command read as many blocks, in as many runs: a tile that
sees fewer reads some that are hidden from it, and its runs are cut. So only MULTIPLY knows of lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hlsgen.lower.part import OVERHEAD, Part, alike
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.key_runs import MOST_RUNS, Run, key_unit, most_units
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.ops.score_bias import is_seen

MOST_KEPT = 512
"""Groups of rows of addends that stay for all heads."""


def list_parts(
    addends: np.ndarray, array: ArrayShape, cost: Callable[[int, int], int], *, shared: bool
) -> tuple[Part, ...]:
    """The commands by key lists of an attention with addends [heads, queries, keys], in order.

    cost: cycles of a head's tile with a range of keys. shared: heads share keys, so they stay together.
    A part without runs: there would be too many of them.
    """
    seen, parts = seen_units(addends, array), []
    if shared:
        seen[:] = seen.any(0)
    for first, stop in alike(seen):
        same = all(np.array_equal(addends[head], addends[first]) for head in range(first, stop))
        parts += _cut(seen[first], (first, stop), array, cost, keeps=same and stop - first > 1)
    return tuple(parts)


def seen_units(addends: np.ndarray, array: ArrayShape) -> np.ndarray:
    """[heads, tiles, units]: whether any query of a tile sees any key of a unit; unit 0, if none."""
    heads, queries, keys = addends.shape
    tiles, unit = ceil_div(queries, array.rows), key_unit(array)
    units = ceil_div(keys, unit)
    seen = np.zeros((heads, tiles * array.rows, units * unit), bool)
    seen[:, :queries, :keys] = is_seen(addends)
    seen = np.any(seen.reshape(heads, tiles, array.rows, units, unit), axis=(2, 4))
    seen[..., 0] |= np.logical_not(np.any(seen, axis=-1))
    return seen


def _cut(
    seen: np.ndarray,
    heads: tuple[int, int],
    array: ArrayShape,
    cost: Callable[[int, int], int],
    *,
    keeps: bool,
) -> list[Part]:
    """Commands of tiles that see [tiles, units], so that all take the fewest cycles.

    keeps: addends are the same for all heads, so they may stay where their memory holds them.
    """
    unit, counts, every = key_unit(array), seen.sum(-1), heads[1] - heads[0]
    tile_cost = np.array([0, *(cost(0, units * unit) for units in range(1, int(counts.max()) + 1))])
    groups, blocks = ceil_div(array.rows, array.row_width), unit // array.columns
    best, cuts = np.zeros(len(counts) + 1, np.int64), [(0, False)]
    for stop in range(1, len(counts) + 1):
        most = np.maximum.accumulate(counts[:stop][::-1])[::-1]
        tiles = stop - np.arange(stop)
        words = tiles * groups * blocks * most
        stay = keeps & (words <= MOST_KEPT) & (words > 1)
        bus, each = words * array.row_width * array.columns * 2 // array.bus_bytes, tiles * tile_cost[most]
        cycles = np.where(stay, kept_cycles(every, each, bus), every * np.maximum(each, bus))
        cycles += best[:stop] + OVERHEAD
        first = int(cycles.argmin())
        best[stop] = cycles[first]
        cuts.append((first, bool(stay[first])))
    parts, stop = [], len(counts)
    while stop:
        first, stay = cuts[stop]
        units = int(counts[first:stop].max())
        runs = even_runs([_padded(tile, units) for tile in seen[first:stop]], most_units(array))
        parts.append(Part(heads, (first, stop), (0, units * unit), runs=runs, kept=stay))
        stop = first
    return parts[::-1]


def kept_cycles(heads: int, each: Any, bus: Any) -> Any:
    """Cycles of a command whose first head waits for addends, which are there for the others.

    each: cycles of a head in the array; bus: those that bring the addends. Numbers, or arrays.
    """
    return np.maximum(each, bus) + (heads - 1) * each


def _padded(seen: np.ndarray, units: int) -> list[Run]:
    """The runs of a tile with so many units: those that it sees, and more where they join runs."""
    seen = seen.copy()
    gaps = sorted((count, first) for first, count in _runs(~seen) if first and first + count < len(seen))
    left = units - int(seen.sum())
    for count, first in gaps:
        taken = min(left, count)
        seen[first : first + taken] = True
        left -= taken
    last = len(seen) - 1 - int(seen[::-1].argmax())
    behind = min(left, len(seen) - 1 - last)
    seen[last + 1 : last + 1 + behind] = True
    first = int(seen.argmax())
    seen[first - (left - behind) : first] = True
    return _runs(seen)


def _runs(flags: np.ndarray) -> list[Run]:
    """First and number of those that follow one another where `flags` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(stop - first)) for first, stop in edges.reshape(-1, 2)]


def even_runs(tiles: list[list[Run]], longest: int) -> tuple[tuple[Run, ...], ...]:
    """The tiles' runs, cut so that each tile has as many, none longer than `longest`; none if too many."""
    short = [
        [(first + at, min(longest, count - at)) for first, count in tile for at in range(0, count, longest)]
        for tile in tiles
    ]
    most = max(map(len, short))
    if most > MOST_RUNS:
        return ()
    for tile in short:
        while len(tile) < most:
            at = max(range(len(tile)), key=lambda index: tile[index][1])
            first, count = tile[at]
            tile[at : at + 1] = [(first, count - 1), (first + count - 1, 1)]
    return tuple(map(tuple, short))
