# SPDX-License-Identifier: Apache-2.0
"""Finds repeated layers in a sequence of commands, so that the printed program is as long as one layer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Items `start` .. `start + period * count - 1`: the same `period` items, `count` times."""

    start: int
    period: int
    count: int


def find_repeats(keys: Sequence[Hashable]) -> list[Section]:
    """Cut a sequence into sections; equal keys are items that a loop may stand for.

    The repeat that saves most items is taken first, then the same on both sides of it. Deterministic:
    of equal savings, the shorter period and then the earlier start win.
    """
    return _cut(keys, 0, len(keys))


def _cut(keys: Sequence[Hashable], start: int, stop: int) -> list[Section]:
    if start == stop:
        return []
    best = _best(keys, start, stop)
    if best is None:
        return [Section(start, stop - start, 1)]
    end = best.start + best.period * best.count
    return [*_cut(keys, start, best.start), best, *_cut(keys, end, stop)]


def _best(keys: Sequence[Hashable], start: int, stop: int) -> Section | None:
    best, saved = None, 0
    for period in range(1, (stop - start) // 2 + 1):
        same = 0  # items from `at` on that equal the item one period later
        runs: dict[int, int] = {}
        for at in range(stop - period - 1, start - 1, -1):
            same = same + 1 if keys[at] == keys[at + period] else 0
            runs[at] = same
        for at in range(start, stop - period):
            count = 1 + runs[at] // period
            if (count - 1) * period > saved:
                best, saved = Section(at, period, count), (count - 1) * period
    return best
