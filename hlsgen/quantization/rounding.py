# SPDX-License-Identifier: Apache-2.0
"""Weights to integers: to nearest, or such that the layer's results change least (GPTQ).

A weight that is rounded leaves an error in the results. The weights of its row that are still to be rounded
can take most of it back where their inputs go along with its own: Frantar et al. 2022, arXiv 2210.17323.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hlsgen.quantization.observers import Observer
from hlsgen.quantization.statistics import Moments

DAMPING = 0.01
"""Of the mean variance, added to each: few rows say little of directions that they hardly have."""
NARROW_BITS = 4
"""Bits of a weight of which the machine keeps two in a byte."""
_BLOCK = 64
"""Columns whose errors reach the columns behind them together."""


def nearest(values: np.ndarray) -> np.ndarray:
    """The nearest integers, halves up."""
    return np.floor(np.asarray(values, np.float64) + 0.5).astype(np.int64)


@dataclass(frozen=True)
class Rounding:
    """How a layer's weights become integers; `moments`: of its integer input, None: to nearest."""

    observer: Observer
    bits: int = 8
    moments: Moments | None = None

    @property
    def levels(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1

    @property
    def stored_bits(self) -> int:
        """Bits in which the machine keeps a weight."""
        return NARROW_BITS if self.bits <= NARROW_BITS else 8

    def part(self, inputs: slice) -> Rounding:
        """That of a layer which reads a part of each row."""
        return self if self.moments is None else replace(self, moments=self.moments.part(inputs))

    def units(self, weight: np.ndarray) -> np.ndarray:
        """A scale [N] for each row of [N, K], 0.0 for a row of zeros."""
        return self.observer.row_scales(weight, self.levels)

    def integers(self, weight: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The integers [N, K] of weights whose rows have the scales `units`."""
        scaled = weight / units[:, None]
        if self.moments is None or not self.moments.rows:
            return nearest(np.clip(scaled, -self.levels, self.levels))
        return gptq(scaled, self.moments.covariance(), self.levels)


def gptq(weight: np.ndarray, covariance: np.ndarray, levels: int) -> np.ndarray:
    """Integers in -levels..levels [N, K] near `weight`, for inputs of this covariance [K, K].

    Columns go by the variance of their inputs, the largest first.
    """
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")
    damped = covariance[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += DAMPING * variance.mean() or 1.0
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    rest, result = weight[:, order].astype(np.float64), np.zeros(weight.shape, np.int64)
    for first in range(0, len(order), _BLOCK):
        part = slice(first, min(first + _BLOCK, len(order)))
        errors = np.zeros((len(weight), part.stop - first))
        for column in range(first, part.stop):
            value = nearest(np.clip(rest[:, column], -levels, levels))
            error = (rest[:, column] - value) / factor[column, column]
            rest[:, column + 1 : part.stop] -= np.outer(error, factor[column, column + 1 : part.stop])
            errors[:, column - first], result[:, order[column]] = error, value
        rest[:, part.stop :] -= errors @ factor[part, part.stop :]
    return result
