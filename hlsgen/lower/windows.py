# SPDX-License-Identifier: Apache-2.0
"""Attention by windows: where a mask hides all keys but those of a query's own window.

A command takes windows for heads: each has queries, keys, values and contexts of its own. Where DRAIN writes
keys and values, a window begins at lane 0 of a word of its own. Windows with the same addends take them from
the stream once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hlsgen.ir import Node
from hlsgen.lower.step import AttentionStep, Step
from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.ops import IntegerScores
from hlsgen.ops.score_bias import is_seen

MOST_WINDOWS = (1 << FIELD_BITS["heads"]) - 1
"""Windows of a command, which goes through them as through heads."""


def window_rows(scores: Node) -> int:
    """The rows of a window: the fewest, alike for all, such that queries see keys of their own one alone.

    0: there is but one window, or no mask at all.
    """
    addends = getattr(scores.op, "addends", None)
    if not isinstance(scores.op, IntegerScores) or addends is None:
        return 0
    _, queries, keys = addends.shape
    if queries != keys:
        return 0
    reach = _reach(addends)
    for rows in _divisors(queries):
        # All that rows of a window see ends with it; what it begins with is known of the window before.
        if all(reach[start : start + rows].max() < start + rows for start in range(0, queries, rows)):
            return rows if rows < queries else 0
    return 0


def _reach(addends: np.ndarray) -> np.ndarray:
    """[T]: the last row that each row sees, or that sees it, of all heads; at least itself."""
    _, queries, keys = addends.shape
    seen = np.logical_or.reduce([is_seen(head) for head in addends])
    seen |= seen.T
    last = keys - 1 - seen[:, ::-1].argmax(1)
    return np.where(seen.any(1), np.maximum(last, np.arange(queries)), np.arange(queries))


def _divisors(count: int) -> list[int]:
    """The divisors of a number above 1, the smallest one first."""
    return [rows for rows in range(2, count + 1) if count % rows == 0]


def runs(addends: np.ndarray, rows: int) -> list[tuple[int, int]]:
    """Windows one behind the other with the same addends, each run from its first to before its last one."""
    count, found, first = len(addends) // rows, [], 0
    each = [addends[at * rows : (at + 1) * rows, at * rows : (at + 1) * rows] for at in range(count)]
    for at in range(1, count + 1):
        if at == count or at - first == MOST_WINDOWS or not np.array_equal(each[at], each[first]):
            found.append((first, at))
            first = at
    return found


def seen_keys(addends: np.ndarray, rows: int) -> int:
    """Keys of a window up to the last one that any query of any window sees; at least one."""
    seen = np.zeros(rows, bool)
    for head in addends:
        for start in range(0, len(head), rows):
            seen |= is_seen(head[start : start + rows, start : start + rows]).any(0)
    return int(np.flatnonzero(seen)[-1]) + 1 if seen.any() else 1


def by_windows(steps: Sequence[Step]) -> Mapping[str, int]:
    """Rows of a window of each tensor of keys or values that lies by windows."""
    found: dict[str, int] = {}
    for step in steps:
        if isinstance(step, AttentionStep) and step.windows:
            found |= dict.fromkeys(step.operands, step.windows)
    return found
