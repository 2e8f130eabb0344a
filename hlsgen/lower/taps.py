# SPDX-License-Identifier: Apache-2.0
"""Which steps of an operand row a block must read: those whose weights are not all zero, if a walk has them.

A walk is a block's taps, parts of a row at equal distances, and how far the next block's lie behind them.
Weights of structure have one: heads that are mixed, groups, copies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hlsgen.machine.format.commands import Command


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The steps that each block of a sweep reads."""

    taps: int
    size: int
    """Steps of a tap."""
    stride: int
    """Steps from a tap to the next one."""
    advance: int
    """Steps from a block's first tap to the next block's."""

    @property
    def steps(self) -> int:
        """Steps of a block."""
        return self.taps * self.size

    @property
    def fields(self) -> dict[str, int]:
        """The command's fields."""
        jump = self.stride - self.size + 1 if self.taps > 1 else 0
        return {"tap_steps": self.size, "tap_jump": jump, "advance": self.advance}

    def read(self, block: int) -> np.ndarray:
        """Steps that a block reads, in order."""
        return replace(Command(k_steps=self.steps), **self.fields).steps_read(block)


def find_walk(used: np.ndarray) -> Walk | None:
    """The shortest walk that reads all steps in use [blocks, steps]; None: blocks need all steps of a row.

    Steps that are in use but for a block apart from the others make it longer, never wrong.
    """
    steps = used.shape[1]
    found = [walk for advance in _advances(used) if (walk := _with_advance(used, advance)) is not None]
    best = min(found, key=lambda walk: walk.steps, default=None)
    return best if best is not None and best.steps < steps else None


def _advances(used: np.ndarray) -> set[int]:
    """Distances from block to block that the first steps in use may have."""
    rows = np.flatnonzero(used.any(1))
    first = used[rows].argmax(1)
    found = {0}
    if len(rows) > 1:
        moved, apart = int(first[1] - first[0]), int(rows[1] - rows[0])
        found |= {moved // apart} if moved > 0 and moved % apart == 0 else set()
    return found


def _with_advance(used: np.ndarray, advance: int) -> Walk | None:
    """The walk of blocks at such distances; None: a block would read beyond the row."""
    blocks, steps = used.shape
    block, step = np.nonzero(used)
    place = step - block * advance
    last = steps - 1 - (blocks - 1) * advance  # the last step at which a tap of the first block may end
    if not len(place) or place.min() < 0 or place.max() > last:
        return None
    places = np.unique(place)
    ends = np.flatnonzero(np.diff(places) > 1)
    starts, stops = places[np.r_[0, ends + 1]], places[np.r_[ends, -1]] + 1
    gaps = np.unique(np.diff(starts))
    size = int((stops - starts).max())
    if places[0] == 0 and len(gaps) == 1 and starts[-1] + size - 1 <= last and size <= gaps[0]:
        return Walk(taps=len(starts), size=size, stride=int(gaps[0]), advance=advance)
    return Walk(taps=1, size=int(places[-1]) + 1, stride=0, advance=advance)
