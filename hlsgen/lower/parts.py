# SPDX-License-Identifier: Apache-2.0
"""Which keys an attention command reads: tiles and heads that see other keys are commands of their own.

A command reads one range of keys for all its heads and tiles. What no query of it can see is left out, in
whole blocks: so a causal mask costs half, and a window what it holds. Scores outside the range are hidden, so
the result is that of all keys, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hlsgen.lower.layout import Layout
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import AttentionStep, Step
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.ops.score_bias import is_seen

OVERHEAD = 64
"""Cycles that the cut counts for one command more: the stages run empty and fill again."""


@dataclass(frozen=True)
class Part:
    """Heads, tiles of query rows, and keys of one command, each from its first one to before its last one."""

    heads: tuple[int, int]
    tiles: tuple[int, int]
    keys: tuple[int, int]

    def rows(self, rows: int, queries: int) -> tuple[int, int]:
        """The query rows, of so many, in tiles of `rows`."""
        first, stop = self.tiles
        return first * rows, min(stop * rows, queries)

    def is_moved(self) -> bool:
        """Whether keys and values do not begin where those of the first head do."""
        return self.heads[0] > 0 or self.keys[0] > 0


def attention_parts(
    step: AttentionStep, array: ArrayShape, query: Layout, value_words: int
) -> tuple[Part, ...]:
    """The commands of a step, in order: those that take the fewest cycles together.

    query: how a row of queries lies; value_words: words of a head of the values.
    """
    heads, queries, keys = step.scores.type.shape
    tiles = ceil_div(queries, array.rows)
    if step.addends is None or array.streamed or not step.keys:
        return (Part((0, heads), (0, tiles), (0, keys)),)
    ranges = _ranges(step.addends, array)
    # Heads that share keys or values stay together, and all where addresses count groups of several rows.
    if any(step.shared) or array.row_width > 1:
        ranges[:] = np.stack([ranges[..., 0].min(0), ranges[..., 1].max(0)], -1)
    columns, depth, groups = array.columns, array.depth, ceil_div(array.rows, array.row_width)
    k_steps = query.head_words * columns // depth

    def cost(first: int, last: int) -> int:
        """Cycles of a head's tile with such a range of keys."""
        count = last - first
        scores = ceil_div(count, columns) * max(k_steps, groups)
        return scores + value_words * max(ceil_div(count, depth), groups)

    parts = []
    for first, stop in _alike(ranges):
        parts += [Part((first, stop), span, seen) for span, seen in _cut(ranges[first], cost, stop - first)]
    return tuple(parts)


def needs_bases(steps: Iterable[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> bool:
    """Whether any command's keys or values begin anywhere but at the first word of their memory."""
    return any(
        part.is_moved()
        for step in steps
        if isinstance(step, AttentionStep)
        for part in attention_parts(step, array, layouts[step.query], layouts[step.values].head_words)
    )


def _ranges(addends: np.ndarray, array: ArrayShape) -> np.ndarray:
    """[heads, tiles, 2]: the keys that a tile's queries see, in whole blocks of keys and steps of values."""
    heads, queries, keys = addends.shape
    tiles, unit = ceil_div(queries, array.rows), max(array.columns, array.depth)
    seen = np.zeros((heads, tiles * array.rows, keys), bool)
    seen[:, :queries] = is_seen(addends)
    seen = np.any(seen.reshape(heads, tiles, array.rows, keys), axis=2)
    none = np.logical_not(np.any(seen, axis=-1))
    first = np.where(none, 0, seen.argmax(-1)) // unit * unit
    last = np.where(none, 0, keys - 1 - seen[..., ::-1].argmax(-1))
    return np.stack([first, np.minimum((last // unit + 1) * unit, keys)], -1)


def _alike(ranges: np.ndarray) -> list[tuple[int, int]]:
    """Heads one after another that see the same."""
    found, first = [], 0
    for head in range(1, len(ranges) + 1):
        if head == len(ranges) or not np.array_equal(ranges[head], ranges[first]):
            found.append((first, head))
            first = head
    return found


def _cut(
    ranges: np.ndarray, cost: Callable[[int, int], int], heads: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Tiles and keys of each command, so that all take the fewest cycles; `ranges` [tiles, 2] of a head."""
    best: list[tuple[int, int]] = [(0, 0)]  # cycles of the tiles before, and where their last command begins
    for stop in range(1, len(ranges) + 1):
        choices, low, high = [], ranges[stop - 1, 0], 0
        for first in range(stop - 1, -1, -1):
            low, high = min(low, ranges[first, 0]), max(high, ranges[first, 1])
            cycles = OVERHEAD + heads * (stop - first) * cost(int(low), int(high))
            choices.append((best[first][0] + cycles, first))
        best.append(min(choices))
    parts, stop = [], len(ranges)
    while stop:
        first = best[stop][1]
        span = ranges[first:stop]
        parts.append(((first, stop), (int(span[:, 0].min()), int(span[:, 1].max()))))
        stop = first
    return parts[::-1]
