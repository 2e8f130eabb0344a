# SPDX-License-Identifier: Apache-2.0
"""Streaming statistics of a tensor: range and its growth, and a histogram whose range doubles."""

from __future__ import annotations

import math

import numpy as np

BINS = 2048
"""Bins on each side of zero."""
_SMALLEST = -1000
_BLOCK = 1 << 13


class Growth:
    """Extremes of a tensor, and after which image its largest magnitude was how large."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.images = 0
        self._steps: list[tuple[int, float]] = []

    @property
    def largest(self) -> float:
        """Largest magnitude seen, 0.0 before anything was."""
        return max(self.high, -self.low, 0.0)

    def update(self, values: np.ndarray, again: bool = False) -> float:
        """Take a batch [N, ...] and return its largest magnitude.

        `again`: the images are those of the batch before, for another task.
        """
        flat = values.reshape(len(values), -1)
        self.images -= len(values) if again else 0
        low, high = flat.min(-1), flat.max(-1)
        running = np.maximum.accumulate(np.maximum(np.abs(low), np.abs(high)))
        before = self.largest if self.images else -1.0
        rises = np.flatnonzero(np.diff(np.maximum(running, before), prepend=before) > 0)
        self._steps += [(self.images + int(i), float(running[i])) for i in rises]
        self.images += len(values)
        self.low, self.high = min(self.low, float(low.min())), max(self.high, float(high.max()))
        return float(running[-1])

    @property
    def early(self) -> float:
        """Largest magnitude in the first three quarters of the images."""
        return max((size for image, size in self._steps if image < self.images * 3 / 4), default=0.0)


class Average:
    """The mean of each element of the last axis, over images and tokens."""

    def __init__(self) -> None:
        self._rows, self._sum = 0, np.zeros(())

    def update(self, values: np.ndarray) -> None:
        """Take an array [..., N]."""
        rows = values.reshape(-1, values.shape[-1])
        self._rows, self._sum = self._rows + len(rows), self._sum + rows.sum(0)

    def mean(self) -> np.ndarray:
        """[N]; zero before anything was taken."""
        return self._sum / max(self._rows, 1)


class Moments:
    """Sums over the rows of a layer's integer input: of the elements, and of all products of two of them."""

    def __init__(self, width: int) -> None:
        self.rows = 0
        self._total = np.zeros(width)
        self._squares = np.zeros((width, width), np.float32)

    def update(self, rows: np.ndarray) -> None:
        """Take rows [..., K] of integers of 8 bits."""
        flat = rows.reshape(-1, rows.shape[-1]).astype(np.float32)
        self.rows += len(flat)
        self._total += flat.sum(0, dtype=np.float64)
        self._squares += flat.T @ flat

    def part(self, inputs: slice) -> Moments:
        """Those of a part of each row."""
        found = Moments(0)
        found.rows, found._total = self.rows, self._total[inputs]
        found._squares = self._squares[inputs, inputs]
        return found

    def mean(self) -> np.ndarray:
        """Of each element, [K]; zero before anything was taken."""
        return self._total / max(self.rows, 1)

    def covariance(self) -> np.ndarray:
        """Of each two elements, [K, K]."""
        mean = self.mean()
        return self._squares.astype(np.float64) / max(self.rows, 1) - np.outer(mean, mean)


class Histogram:
    """Counts and sums over equal bins of -reach..reach; reach is a power of two and doubles when needed.

    A bin of the wider range is exactly two of the narrower, so the counts do not depend on the order of the
    batches or on their size. One that is not `counted` keeps nothing but the largest magnitude.
    """

    def __init__(self, counted: bool = True) -> None:
        self.largest, self.counted = 0.0, counted
        self._exponent: int | None = None  # reach = 2**exponent
        self._counts = np.zeros(2 * BINS, np.int64)
        self._sums = np.zeros(2 * BINS)

    def update(self, values: np.ndarray, largest: float) -> None:
        """Take any array of finite values of magnitudes up to `largest`."""
        self.largest = max(self.largest, largest)
        if not self.counted:
            return
        flat = values.ravel()
        # frexp gives the exponent of the next larger power of two, so the largest value is inside.
        needed = max(math.frexp(largest)[1], _SMALLEST) if largest else _SMALLEST
        self._exponent = needed if self._exponent is None else self._exponent
        if needed > self._exponent:
            self._widen(needed - self._exponent)
            self._exponent = needed
        index = self._bins(flat, self._exponent)
        self._counts += np.bincount(index, minlength=2 * BINS)
        self._sums += np.bincount(index, flat, minlength=2 * BINS)

    def _bins(self, values: np.ndarray, exponent: int) -> np.ndarray:
        """The bin of each value, worked out for few at a time: they stay in the caches."""
        # A product by a power of two is exact, as the quotient would be.
        index, factor = np.empty(values.size, np.intp), BINS * math.ldexp(1.0, -exponent)
        for first in range(0, values.size, _BLOCK):
            part = slice(first, first + _BLOCK)
            place = values[part] * factor
            np.floor(place, out=place)
            place += BINS
            index[part] = place
        return index

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each bin that is not empty, and how many values it stands for."""
        used = self._counts > 0
        if not used.any():
            return np.zeros(1), np.ones(1)
        return self._sums[used] / self._counts[used], self._counts[used].astype(np.float64)

    def _widen(self, doublings: int) -> None:
        index = ((np.arange(2 * BINS) - BINS) >> min(doublings, 62)) + BINS
        self._counts = np.bincount(index, self._counts, minlength=2 * BINS).astype(np.int64)
        self._sums = np.bincount(index, self._sums, minlength=2 * BINS)
