# SPDX-License-Identifier: Apache-2.0
"""Signal to noise in decibels."""

from __future__ import annotations

import math

import numpy as np


def decibels(reference: np.ndarray, error: np.ndarray) -> float | None:
    """Signal to noise, 10 log10(sum of squares / sum of squared errors); None where either is zero."""
    signal, noise = float(np.square(reference).sum()), float(np.square(error).sum())
    return 10 * math.log10(signal / noise) if signal and noise else None
