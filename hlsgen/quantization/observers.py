# SPDX-License-Identifier: Apache-2.0
"""Observers: from what calibration has seen of a tensor to the scale of its integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.errors.codes import Code
from hlsgen.quantization.statistics import Histogram

Function = Callable[[np.ndarray], np.ndarray]

SMALLEST = 1e-270
"""A row of smaller values counts as zeros: quotients by its scale would leave float64."""

# Numerators are tried as scale = largest / k. Each k below the number of levels, where nothing is clipped,
# so that values on a grid (pixels, say) find it; then geometrically, down to a fifth of the range.
_CLIPPING = np.geomspace(1.0, 5.0, 81)
PERCENT = 80.0


class Observer(Protocol):
    """A rule that chooses a symmetric scale: real = integer * scale, integers in -levels..levels."""

    counts: ClassVar[bool]
    """Whether it needs a histogram's counts, not the largest magnitude alone."""

    def scale(self, histogram: Histogram, levels: int, function: Function | None = None) -> float:
        """The scale of a whole tensor, 0.0 when nothing but zeros was seen.

        Where errors count, they count after `function`.
        """
        ...

    def row_scales(self, rows: np.ndarray, levels: int) -> np.ndarray:
        """One scale [N] for each row of [N, K], 0.0 for a row of zeros."""
        ...


@dataclass(frozen=True)
class MinMax:
    """Everything seen is represented."""

    counts: ClassVar[bool] = False

    def scale(self, histogram: Histogram, levels: int, function: Function | None = None) -> float:  # noqa: ARG002
        return histogram.largest / levels

    def row_scales(self, rows: np.ndarray, levels: int) -> np.ndarray:
        return np.abs(rows).max(-1) / levels


@dataclass(frozen=True)
class Percentile:
    """`percent` of the magnitudes are represented, the others saturate."""

    counts: ClassVar[bool] = True
    percent: float = 99.99

    def scale(self, histogram: Histogram, levels: int, function: Function | None = None) -> float:  # noqa: ARG002
        values, counts = histogram.points()
        order = np.argsort(np.abs(values), kind="stable")
        magnitudes, total = np.abs(values)[order], np.cumsum(counts[order])
        index = int(np.searchsorted(total, total[-1] * self.percent / 100.0))
        inside = index < len(magnitudes) - 1
        return (float(magnitudes[index]) if inside else histogram.largest) / levels

    def row_scales(self, rows: np.ndarray, levels: int) -> np.ndarray:
        return np.percentile(np.abs(rows), self.percent, axis=-1) / levels


@dataclass(frozen=True)
class MeanSquareError:
    """The scale whose rounding and saturation together lose least.

    The largest value seen loses `percent` % at most; behind a function, any result that of the largest.
    """

    percent: float = PERCENT
    counts: ClassVar[bool] = True

    def scale(self, histogram: Histogram, levels: int, function: Function | None = None) -> float:
        values, counts = histogram.points()
        exact = values if function is None else function(values)
        integers = np.arange(-levels - 1, levels + 1)
        best, least = 0.0, np.inf
        free = len(_parts(levels, self.percent))
        parts = _parts(levels, self.percent if function is None else PERCENT)
        for number, scale in enumerate(histogram.largest / parts if histogram.largest else ()):
            index = np.floor(values / scale + 0.5)
            inside = np.clip(index, -levels - 1, levels)
            represented = integers * scale if function is None else function(integers * scale)
            error = represented[inside.astype(np.intp) + levels + 1] - exact
            loss = float(counts @ (error * error))
            if loss < least and (number < free or self.bears(error, exact, index != inside)):
                best, least = float(scale), loss
        return best

    def bears(self, error: np.ndarray, exact: np.ndarray, cut: np.ndarray) -> bool:
        """Whether results [N], of which some are `cut` off, lose no more than `percent` % of the largest."""
        most = np.abs(exact).max(initial=0.0) * self.percent / 100.0
        return bool(np.abs(error[cut]).max(initial=0.0) <= most)

    def row_scales(self, rows: np.ndarray, levels: int) -> np.ndarray:
        largest = np.abs(rows).max(-1)
        largest = np.where(largest > SMALLEST, largest, 0.0)
        best, least = largest / levels, np.full(len(rows), np.inf)
        for part in levels * _within(_CLIPPING, self.percent):
            scale = np.where(largest > 0, largest / part, 1.0)[:, None]
            error = scale * np.clip(np.floor(rows / scale + 0.5), -levels, levels) - rows
            loss = (error * error).sum(-1)
            best, least = np.where(loss < least, largest / part, best), np.minimum(loss, least)
        return best


@dataclass(frozen=True)
class OnGrid:
    """Rows of whole multiples of one step keep it, as weights do that were quantized before; else `other`."""

    counts: ClassVar[bool] = False
    other: Observer

    def scale(self, histogram: Histogram, levels: int, function: Function | None = None) -> float:
        return self.other.scale(histogram, levels, function)

    def row_scales(self, rows: np.ndarray, levels: int) -> np.ndarray:
        steps = grid(rows, levels)
        return np.where(steps > 0, steps, self.other.row_scales(rows, levels))


OFF_GRID = 1e-3
"""Largest distance from a whole number of steps; weights that are stored as float32 lie some 1e-5 off."""
_TRIED = 16
"""Elements of a row that a step is tried on first."""


def grid(rows: np.ndarray, levels: int) -> np.ndarray:
    """A step [N] of which all of a row [N, K] are whole multiples within -levels..levels; 0: there is none.

    It is the same for all rows where that is possible, else the largest one: the integers are those that the
    row was made of, without a divisor that they all share. A row of one magnitude gets all levels.
    """
    largest = np.abs(rows).max(-1, initial=0.0)
    largest = np.where(largest > SMALLEST, largest, 0.0)
    shares = rows / np.where(largest > 0, largest, 1.0)[:, None]
    # The largest elements tell most.
    first = np.argsort(-np.abs(shares), axis=-1, kind="stable")[:, :_TRIED]
    some, parts = np.take_along_axis(shares, first, -1), np.zeros(len(rows))
    for count in range(1, levels + 1):
        rest = np.flatnonzero((parts == 0) & (largest > 0) & _whole(some * count))
        parts[rest[_whole(shares[rest] * count)]] = count
    steps = np.where(parts > 0, largest / np.maximum(parts, 1), 0.0)
    there, most = steps > 0, largest.max(initial=0.0)
    base = steps[there].min(initial=np.inf)
    if there.any() and _whole(steps[there] / base) and base * 1.5 < most < base * (levels + 0.5):
        return np.where(there, base, 0.0)
    return np.where(parts == 1, largest / levels, steps)


def _whole(values: np.ndarray) -> np.ndarray:
    """Rows [..., K] of whole numbers."""
    return np.asarray((np.abs(values - np.round(values)) < OFF_GRID).all(-1))


def _parts(levels: int, percent: float) -> np.ndarray:
    """The largest value over the scale, for every scale to try; no clipping first."""
    whole = np.arange(levels, levels * 3 // 4, -1) if levels < 256 else np.array([levels])
    return np.concatenate([whole, levels * _within(_CLIPPING, percent)[1:]])


def _within(factors: np.ndarray, percent: float) -> np.ndarray:
    """Those of which the largest value loses `percent` % at most; the first, 1, is always there."""
    return factors[factors * (1.0 - percent / 100.0) <= 1.0 + 1e-9]


def parse(text: str) -> Observer:
    """The observer that `text` names; raises `UsageError`."""
    kind, _, argument = str(text).partition(":")
    if kind == "min-max" and not argument:
        return MinMax()
    if kind == "mse":
        return MeanSquareError(_percent(kind, argument, MeanSquareError.percent, 0.0, PERCENT))
    if kind == "percentile":
        return Percentile(_percent(kind, argument, Percentile.percent, 50.0, 100.0))
    raise UsageError(
        f"observer must be min-max, percentile, percentile:P, mse or mse:P, not {text!r}",
        code=Code.QUANTIZER,
    )


def _percent(kind: str, argument: str, default: float, low: float, high: float) -> float:
    """The number behind an observer's name."""
    try:
        percent = float(argument) if argument else default
    except ValueError:
        percent = -1.0
    if low <= percent <= high:
        return percent
    raise UsageError(f"{kind} must be in {low:g}..{high:g}, not {argument!r}", code=Code.QUANTIZER)
