# SPDX-License-Identifier: Apache-2.0
"""A few images that are stored beside the weights; `benchmarks/accuracy/` draws as many as are wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("images.npz")
MEAN, DEVIATION = 0.5, 0.25
"""A pixel p of 0..1 enters the model as (p - MEAN) / DEVIATION."""


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """Images [32, 3, 32, 32] and classes [32] of the digits and photos that the model was trained with."""
    return _read("calibration")


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """Images [64, 3, 32, 32] and classes [64] of digits and photos that training never saw."""
    return _read("heldout")


def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(FILE) as stored:
        pixels, classes = stored[f"{name}_pixels"], stored[f"{name}_classes"]
    images = (pixels.astype(np.float32) / np.float32(255.0) - MEAN) / DEVIATION
    return images.astype(np.float32), classes.astype(np.int64)
