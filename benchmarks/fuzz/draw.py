# SPDX-License-Identifier: Apache-2.0
"""A seeded source of random choices."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draw:
    """Choices that depend on the key alone.

    Parameters
    ----------
    key
        Natural numbers: seed, batch, case and so on.
    """

    def __init__(self, *key: int) -> None:
        self._random = np.random.default_rng(key)

    def integer(self, low: int, high: int) -> int:
        """In low..high."""
        return int(self._random.integers(low, high + 1))

    def real(self, low: float, high: float) -> float:
        return float(self._random.uniform(low, high))

    def reals(self, low: float, high: float, count: int) -> np.ndarray:
        return self._random.uniform(low, high, count)

    def chance(self, probability: float) -> bool:
        return bool(self._random.random() < probability)

    def pick(self, *choices: T) -> T:
        """Any of the choices; one that stands there twice comes twice as often."""
        return choices[self.integer(0, len(choices) - 1)]

    def array(self, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
        """int64 in low..high."""
        return self._random.integers(low, high + 1, shape)

    def signs(self, shape: tuple[int, ...]) -> np.ndarray:
        """-1 or 1."""
        return 2 * self.array(0, 1, shape) - 1
