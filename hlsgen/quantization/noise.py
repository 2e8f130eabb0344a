# SPDX-License-Identifier: Apache-2.0
"""Signal to noise in decibels."""

from __future__ import annotations

import math

import numpy as np


def decibels(reference: np.ndarray, error: np.ndarray) -> float | None:
    """Signal to noise, 10 log10(sum of squares / sum of squared errors); None where either is zero."""
    signal, noise = float(np.square(reference).sum()), float(np.square(error).sum())
    return 10 * math.log10(signal / noise) if signal and noise else None


def differing(real: np.ndarray, shown: np.ndarray) -> float:
    """Signal to noise, in dB, of what differs between images [N, ...]; plain for a single one.

    inf without an error, -inf where the images do not differ.
    """
    error = shown - real
    if len(real) > 1:
        real, error = real - real.mean(0), error - error.mean(0)
    if not error.any():
        return math.inf
    value = decibels(real, error)
    return -math.inf if value is None else value
