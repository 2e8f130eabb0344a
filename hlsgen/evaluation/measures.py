# SPDX-License-Identifier: Apache-2.0
"""Measures of outputs: shares with their intervals, ranks of labels, confusion, cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

QUANTILE = 1.959963984540054
"""Of the normal distribution: 95 % lie within it on both sides."""


@dataclass(frozen=True)
class Share:
    """`count` of `of` images, and the interval in which the share of all such images lies, at 95 %."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """The share; 0 of no images."""
        return self.count / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (Probable inference, J. Am. Stat. Assoc. 22, 1927); 0..1 of no images."""
        if not self.of:
            return 0.0, 1.0
        square = QUANTILE**2
        middle = (self.count + square / 2) / (self.of + square)
        spread = self.count * (self.of - self.count) / self.of + square / 4
        half = QUANTILE * math.sqrt(spread) / (self.of + square)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2%} ({self.count} of {self.of}; {low:.1%} to {high:.1%})"

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"count": self.count, "of": self.of, "share": self.value, "interval": list(self.interval)}


def in_first(logits: np.ndarray, labels: np.ndarray, count: int) -> Share:
    """Images whose label [N] is among the `count` largest of their logits [N, classes].

    Of equal logits the first class is the larger one, as `argmax` has it. A label without a logit is never
    among them.
    """
    known = labels < logits.shape[1]
    own = np.take_along_axis(logits, np.where(known, labels, 0)[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(1)
    return Share(int((known & (rank < count)).sum()), len(labels))


def confusion(labels: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Images [classes, classes] by label and by the class that was found; other labels are left out."""
    table = np.zeros((classes, classes), np.int64)
    known = labels < classes
    np.add.at(table, (labels[known], found[known]), 1)
    return table


def centred(values: np.ndarray) -> np.ndarray:
    """Values [N, ...] without what all N share: the mean over the images is taken away."""
    return values - values.mean(0)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of the angle between the rows of two arrays [N, elements]; 0 for a row of zeros."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(1) / np.where(lengths, lengths, 1.0)
