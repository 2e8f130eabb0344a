# SPDX-License-Identifier: Apache-2.0
"""Which keys an attention command reads: tiles and heads that see other keys are commands of their own.

A command reads one range of keys for all its heads and tiles. What no query of it can see is left out, in
whole blocks: so a causal mask costs half, and a window what it holds. Scores outside the range are hidden, so
the result is that of all keys, bit for bit. Or a command reads windows of one head, each with its own keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hlsgen.lower.key_lists import kept_cycles, list_parts
from hlsgen.lower.layout import Layout
from hlsgen.lower.part import OVERHEAD, Part, alike
from hlsgen.lower.size import ArrayShape, exp_steps
from hlsgen.lower.step import AttentionStep, Step
from hlsgen.lower.windows import runs, seen_keys, window_rows
from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.format.runs import PLACE_BITS
from hlsgen.ops.score_bias import is_seen

LEAST_SAVING = 32
"""Key lists, which take a memory, save at least one of so many cycles."""
MOST_WORDS = 1 << 13
"""Words of the key lists of a step."""
MOST_STRIDE = (1 << FIELD_BITS["outer_source"]) - 1
"""Words from a window's first row to the next one's."""


def attention_parts(
    step: AttentionStep, array: ArrayShape, layouts: Mapping[str, Layout]
) -> tuple[Part, ...]:
    """The commands of a step, in order: those that take the fewest cycles together.

    layouts: how queries and values lie.
    """
    parts, addends = _parts(step, array, layouts), step.addends
    if addends is None:
        return parts
    return tuple(replace(part, adds=bool(part.addends(addends, array).any())) for part in parts)


def _parts(step: AttentionStep, array: ArrayShape, layouts: Mapping[str, Layout]) -> tuple[Part, ...]:
    """The same, but for whether a part adds anything."""
    heads, queries, keys = step.scores.type.shape
    tiles = ceil_div(queries, array.rows)
    if step.addends is None or array.streamed or not step.keys:
        return (Part((0, heads), (0, tiles), (0, keys)),)
    if step.windows:
        return _by_windows(step.addends, step.windows, array)
    cost, parts = _cost(step, array, layouts), []
    if step.lists:
        return list_parts(step.addends, array, cost, shared=any(step.shared))
    ranges = _ranges(step.addends, array)
    if any(step.shared):  # heads that share keys or values stay together
        ranges[:] = np.stack([ranges[..., 0].min(0), ranges[..., 1].max(0)], -1)
    for first, stop in alike(ranges):
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


def with_cuts(
    steps: Sequence[Step], array: ArrayShape, layouts: Mapping[str, Layout], spread: Mapping[str, int]
) -> list[Step]:
    """The steps; attention goes by windows, or by key lists, where ranges of keys take more cycles.

    Key lists read no less than windows do, so they are no choice where these are better.

    spread: rows of a window of scores with rows between their windows, which a trace shows only so.
    """
    operands = [name for step in steps if isinstance(step, AttentionStep) for name in step.operands]
    result: list[Step] = []
    for step in steps:
        if not isinstance(step, AttentionStep) or step.addends is None or not step.keys or array.streamed:
            result.append(step)
            continue
        stride = max(layouts[step.query].stride, layouts[step.result].stride)
        own = all(operands.count(name) == 1 for name in step.operands)
        choices = [] if step.scores.name in spread else [step]
        rows = spread.get(step.scores.name) or window_rows(step.scores)
        if rows and rows % array.row_width == 0 and own and stride * rows <= MOST_STRIDE:
            choices.append(replace(step, windows=rows))
        cycles = [_cycles(choice, array, layouts) for choice in choices]
        best = min(cycles, default=0)
        found = choices[cycles.index(best)] if choices else step
        listed = replace(step, lists=True)
        if choices and found is step and has_lists(listed, array, layouts):
            saves = best - _cycles(listed, array, layouts)
            found = listed if saves * LEAST_SAVING > best else found
        result.append(found)
    return result


def has_lists(step: AttentionStep, array: ArrayShape, layouts: Mapping[str, Layout]) -> bool:
    """Whether key lists can say which keys the tiles of a step read: runs have bits enough.

    They assume one walk over a tile's keys: with two digits of exp there are two.
    """
    if step.digits > 1:
        return False
    heads, _, keys = step.scores.type.shape
    words = max(layouts[name].head_words for name in step.operands)
    parts = attention_parts(step, array, layouts)
    runs = sum(len(part.runs) * len(part.runs[0]) for part in parts if part.runs)
    fits = heads * (keys + 2 * max(array.columns, array.depth)) * words < 1 << PLACE_BITS
    return fits and all(part.runs for part in parts) and runs <= MOST_WORDS


def _cycles(step: AttentionStep, array: ArrayShape, layouts: Mapping[str, Layout]) -> int:
    """Cycles of a step's commands: of the array, or of the bus that brings their addends."""
    _, queries, _ = step.scores.type.shape
    cost, total = _cost(step, array, layouts), 0
    for part in attention_parts(step, array, layouts):
        first, stop = part.rows(array.rows, queries)
        each = (part.tiles[1] - part.tiles[0]) * cost(*part.keys)
        words = (part.window_rows or stop - first) * ceil_div(part.keys[1] - part.keys[0], array.columns)
        words *= 1 if part.keeps_addends(array) else part.count
        bus = words * array.columns * 2 // array.bus_bytes if part.adds else 0
        total += OVERHEAD
        total += kept_cycles(part.count, each, bus) if part.kept else max(part.count * each, bus)
    return total


def _cost(step: AttentionStep, array: ArrayShape, layouts: Mapping[str, Layout]) -> Callable[[int, int], int]:
    """Cycles of a head's tile with a range of keys from its first one to before its last one."""
    columns, depth, groups = array.columns, array.depth, ceil_div(array.rows, array.row_width)
    k_steps = layouts[step.query].head_words * columns // depth
    value_words, digits = layouts[step.values].head_words, step.digits

    def cost(first: int, last: int) -> int:
        count = last - first
        scores = ceil_div(count, columns) * max(k_steps, groups)
        return scores + value_words * max(digits * exp_steps(count, array, digits), groups)

    return cost


def needs_bases(steps: Iterable[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> bool:
    """Whether any command's keys or values begin anywhere but at the first word of their memory."""
    return any(
        part.is_moved()
        for step in steps
        if isinstance(step, AttentionStep)
        for part in attention_parts(step, array, layouts)
    )


def kept_addends(steps: Iterable[Step], array: ArrayShape, layouts: Mapping[str, Layout]) -> int:
    """The most groups of rows whose addends a command's first head, or window, leaves to the others."""
    return max(
        (
            part.addend_words(array)
            for step in steps
            if isinstance(step, AttentionStep) and (step.windows or step.lists)
            for part in attention_parts(step, array, layouts)
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
