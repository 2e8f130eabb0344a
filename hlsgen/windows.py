# SPDX-License-Identifier: Apache-2.0
"""Windows of neighbours on an axis, as a convolution's kernel moves over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """`count` windows of `size` neighbours, each `step` behind the one before, the first at -`edge`."""

    count: int
    size: int
    step: int
    edge: int = 0

    @classmethod
    def over(cls, length: int, size: int, step: int = 0, edge: int = 0) -> Windows:
        """All windows on `length` elements with `edge` more on each side; step 0: they lie side by side."""
        step = step or size
        return cls((length + 2 * edge - size) // step + 1, size, step, edge)

    @property
    def plain(self) -> bool:
        """Whether they take the axis as it is."""
        return self.step == self.size and not self.edge

    def places(self, length: int) -> np.ndarray:
        """The element at each window's places [count, size] on an axis of `length`; -1 beyond its ends."""
        found = np.arange(self.count)[:, None] * self.step + np.arange(self.size) - self.edge
        return np.where((found >= 0) & (found < length), found, -1)


def taken(x: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """The elements at `places` along an axis, 0 where a place is -1; a new array."""
    shape = list(x.shape)
    shape[axis] = 1
    return np.take(np.concatenate([x, np.zeros(shape, x.dtype)], axis), places, axis)
