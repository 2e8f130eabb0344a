# SPDX-License-Identifier: Apache-2.0
"""A share of images, and the interval that goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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
