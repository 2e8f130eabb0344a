# SPDX-License-Identifier: Apache-2.0
"""Where elements stand: windows of neighbours on an axis, and an output in another order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hlsgen.errors import TypeMismatch


@dataclass(frozen=True)
class Windows:
    """`count` windows of `size` neighbours, each `step` behind the one before, the first at -`edge`."""

    count: int
    size: int
    step: int
    edge: int = 0

    @classmethod
    def over(cls, length: int, size: int, step: int = 0, edges: tuple[int, int] = (0, 0)) -> Windows:
        """All windows on `length` elements with `edges` more on both sides; step 0: they lie side by side."""
        step = step or size
        return cls((length + sum(edges) - size) // step + 1, size, step, edges[0])

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


@dataclass(frozen=True)
class View:
    """An output's elements in the model's own order, where that is not the tensor's [rows, columns].

    Element `i` of `shape`, counted along `sizes` as axes, is the tensor's element number `start` plus the
    sum of index times stride.
    """

    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    start: int = 0

    def of(self, array: np.ndarray) -> np.ndarray:
        """The output [..., *shape] of a tensor [..., rows, columns]."""
        lead = array.shape[:-2]
        return array.reshape(*lead, -1)[..., self._numbers()].reshape(*lead, *self.shape)

    def verify(self, elements: int) -> None:
        """Raise `TypeMismatch` where the view is none of a tensor of so many elements."""
        ends = [(size - 1) * stride for size, stride in zip(self.sizes, self.strides, strict=True)]
        low, high = (self.start + sum(f(0, end) for end in ends) for f in (min, max))
        if min((*self.shape, *self.sizes), default=0) < 1 or low < 0 or high >= elements:
            raise TypeMismatch(f"{self} must lie within {elements} elements")
        if math.prod(self.shape) != math.prod(self.sizes):
            raise TypeMismatch(f"{self} must have as many elements in shape as in sizes")

    def _numbers(self) -> np.ndarray:
        total = np.asarray(self.start)
        for size, stride in zip(self.sizes, self.strides, strict=True):
            total = total[..., None] + stride * np.arange(size)
        return total.reshape(-1)
