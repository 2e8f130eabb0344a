# SPDX-License-Identifier: Apache-2.0
"""Quantizers of a model that is quantized already, and how they are found again in a Graph.

The front end takes the quantizers out of a model: what remains is a float Graph. Its passes split, scale and
repeat tensors, so a quantizer is tied to no node. It keeps a fingerprint of the values that it saw on one
image, with all quantizers left out. A tensor with the same fingerprint is the quantizer's, whatever name and
shape it has, and whatever one factor lies on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ALIKE = 1e-5
"""Largest relative difference between equal fingerprints: float32 weights leave some 1e-7. Those of two
tensors differ by some percent."""


class Fingerprint(NamedTuple):
    """A tensor's elements, in any order and of either sign: how many, the largest, means of powers."""

    elements: int
    largest: float
    means: tuple[float, ...]
    """Mean of (magnitude / largest) ** p for p = 1, 2, 3."""

    def factor(self, other: Fingerprint) -> float | None:
        """This tensor over the other one, where they differ by one factor only; else None."""
        if self.elements != other.elements or not np.allclose(self.means, other.means, rtol=ALIKE, atol=0):
            return None
        ratio = self.largest / other.largest
        return 1.0 if abs(ratio - 1.0) < ALIKE else ratio


def fingerprint(values: np.ndarray) -> Fingerprint | None:
    """The fingerprint of any array; None where nothing tells it from others: zeros, infinite values."""
    sizes = np.abs(np.asarray(values, np.float64)).reshape(-1)
    largest = float(sizes.max(initial=0.0))
    if not 0.0 < largest < np.inf:
        return None
    shares = np.sort(sizes) / largest
    return Fingerprint(sizes.size, largest, tuple(float((shares**power).mean()) for power in (1, 2, 3)))


@dataclass(frozen=True)
class Quantizer:
    """One quantizer of a tensor: real = (integer - zero) * scale, integer within low..high."""

    name: str
    """Of its result in the model's program."""
    where: str
    """Module path and line, or the name again."""
    scale: float
    zero: int
    low: int
    high: int
    seen: tuple[Fingerprint, ...] = ()
    """Of the tensor, and of its parts where the model takes it apart."""

    @property
    def bits(self) -> int:
        """Width of the integers; a narrow range, -127..127, has that of the whole one."""
        return (self.high - self.low).bit_length()

    def __str__(self) -> str:
        zero = f", zero point {self.zero}" if self.zero else ""
        return f"scale {self.scale:.4g}{zero}, integers {self.low}..{self.high}"


def probe(shape: Sequence[int]) -> np.ndarray:
    """The image float32 [1, ...] that fingerprints are taken on: seeded, random."""
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
