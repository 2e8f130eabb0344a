# SPDX-License-Identifier: Apache-2.0
"""Which keys an attention command reads: tiles and heads that see other keys are commands of their own.

A command reads one range of keys for all its heads and tiles. What no query of it can see is left out, in
whole blocks: so a causal mask costs half, and a window what it holds. Scores outside the range are hidden, so
the result is that of all keys, bit for bit. Or a command reads windows of one head, each with its own keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hlsgen.lower.layout import Layout
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import AttentionStep, Step
from hlsgen.lower.windows import runs, seen_keys, window_rows
from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.ops.score_bias import is_seen

OVERHEAD = 64
"""Cycles that the cut counts for one command more: the stages run empty and fill again."""
MOST_STRIDE = (1 << FIELD_BITS["outer_source"]) - 1
"""Words from a window's first row to the next one's."""


@dataclass(frozen=True)
class Part:
    """Heads, tiles of query rows, and keys of one command, each from its first one to before its last one.

    windows: those that a command of one head goes through, with so many rows each; then tiles and keys are a
    window's.
    """

    heads: tuple[int, int]
    tiles: tuple[int, int]
    keys: tuple[int, int]
    windows: tuple[int, int] = (0, 0)
    window_rows: int = 0

    def rows(self, rows: int, queries: int) -> tuple[int, int]:
        """The query rows, of so many, in tiles of `rows`."""
        if self.window_rows:
            return self.windows[0] * self.window_rows, self.windows[1] * self.window_rows
        first, stop = self.tiles
        return first * rows, min(stop * rows, queries)

    @property
    def count(self) -> int:
        """Heads, or windows, that the command goes through."""
        first, stop = self.windows if self.window_rows else self.heads
        return stop - first

    def is_moved(self) -> bool:
        """Whether keys and values do not begin where those of the first head do."""
        return self.heads[0] > 0 or self.keys[0] > 0 or self.windows[0] > 0

    def keeps_addends(self, array: ArrayShape | MachineParameters) -> bool:
        """Whether the first window's addends stay for the others; their memory holds two groups or more."""
        return self.window_rows > 0 and self.count > 1 and self.addend_words(array) > 1

    def addend_words(self, array: ArrayShape | MachineParameters) -> int:
        """Groups of rows whose addends a window has."""
        blocks, groups = ceil_div(self.keys[1], array.columns), ceil_div(array.rows, array.row_width)
        tail = self.window_rows - (self.tiles[1] - 1) * array.rows
        return ((self.tiles[1] - 1) * groups + ceil_div(tail, array.row_width)) * blocks


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
    if step.windows:
        return _by_windows(step.addends, step.windows, array)
    ranges = _ranges(step.addends, array)
    if any(step.shared):  # heads that share keys or values stay together
        ranges[:] = np.stack([ranges[..., 0].min(0), ranges[..., 1].max(0)], -1)
    cost, parts = _cost(array, query, value_words), []
    for first, stop in _alike(ranges):
        parts += [Part((first, stop), span, seen) for span, seen in _cut(ranges[first], cost, stop - first)]
    return tuple(parts)


def _by_windows(addends: np.ndarray, rows: int, array: ArrayShape) -> tuple[Part, ...]:
    """A command for each head and each run of windows with the same addends."""
    keys, tiles = seen_keys(addends, rows), (0, ceil_div(rows, array.rows))
    return tuple(
        Part((head, head + 1), tiles, (0, keys), windows=run, window_rows=rows)
        for head, each in enumerate(addends)
        for run in runs(each, rows)
    )


def with_windows(
    steps: Sequence[Step], array: ArrayShape, layouts: Mapping[str, Layout], spread: Mapping[str, int]
) -> list[Step]:
    """The steps; attention goes by windows where that takes fewer cycles than ranges of keys.

    spread: rows of a window of scores with rows between their windows, which a trace shows only so.
    """
    operands = [name for step in steps if isinstance(step, AttentionStep) for name in step.operands]
    result: list[Step] = []
    for step in steps:
        rows = 0
        if isinstance(step, AttentionStep):
            rows = spread.get(step.scores.name) or window_rows(step.scores)
        fits = rows and not array.streamed and rows % array.row_width == 0
        if not isinstance(step, AttentionStep) or not fits:
            result.append(step)
            continue
        query, words = layouts[step.query], layouts[step.values].head_words
        stride = max(query.stride, layouts[step.result].stride) * rows
        own = all(operands.count(name) == 1 for name in step.operands)
        if not own or stride > MOST_STRIDE:
            result.append(step)
            continue
        choices = [replace(step, windows=rows)] + ([] if step.scores.name in spread else [step])
        result.append(min(choices, key=lambda choice: _cycles(choice, array, query, words)))
    return result


def _cycles(step: AttentionStep, array: ArrayShape, query: Layout, value_words: int) -> int:
    """Cycles of a step's commands: of the array, or of the bus that brings their addends."""
    _, queries, _ = step.scores.type.shape
    cost, total = _cost(array, query, value_words), 0
    for part in attention_parts(step, array, query, value_words):
        first, stop = part.rows(array.rows, queries)
        tiles = part.count * (part.tiles[1] - part.tiles[0])
        read = part.window_rows if part.keeps_addends(array) else (stop - first)
        read *= 1 if part.window_rows else part.count
        words = read * ceil_div(part.keys[1] - part.keys[0], array.columns)
        bus = words * array.columns * 2 // array.bus_bytes
        total += OVERHEAD + max(tiles * cost(*part.keys), bus)
    return total


def _cost(array: ArrayShape, query: Layout, value_words: int) -> Callable[[int, int], int]:
    """Cycles of a head's tile with a range of keys from its first one to before its last one."""
    columns, depth, groups = array.columns, array.depth, ceil_div(array.rows, array.row_width)
    k_steps = query.head_words * columns // depth

    def cost(first: int, last: int) -> int:
        count = last - first
        scores = ceil_div(count, columns) * max(k_steps, groups)
        return scores + value_words * max(ceil_div(count, depth), groups)

    return cost


def needs_bases(steps: Iterable[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> bool:
    """Whether any command's keys or values begin anywhere but at the first word of their memory."""
    return any(
        part.is_moved()
        for step in steps
        if isinstance(step, AttentionStep)
        for part in attention_parts(step, array, layouts[step.query], layouts[step.values].head_words)
    )


def kept_addends(steps: Iterable[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> int:
    """The most groups of rows whose addends a command's first window leaves to the others."""
    return max(
        (
            part.addend_words(array)
            for step in steps
            if isinstance(step, AttentionStep) and step.windows
            for part in attention_parts(step, array, layouts[step.query], layouts[step.values].head_words)
            if part.keeps_addends(array)
        ),
        default=0,
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
