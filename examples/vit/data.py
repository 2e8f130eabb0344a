# SPDX-License-Identifier: Apache-2.0
"""Seeded images with the statistics of photographs. They show nothing, so there are no labels."""

from __future__ import annotations

import numpy as np

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation by colour, of pixels within 0..1."""
CALIBRATION, HELD_OUT = 16, 2
"""Images to calibrate with, and to keep in a build folder: one costs golden seconds."""
FEW = 8
"""Images to calibrate a model with that takes more than 10 GMAC for one: most of the quantizer's time goes to
them, and made-up images are all alike."""


def photographs(count: int, seed: int, size: int | tuple[int, int] = 224) -> np.ndarray:
    """Images [count, 3, height, width] float32, normalised as models trained on ImageNet expect.

    The amplitude falls with 1 / frequency, as it does in photographs; the colours have most of it in common;
    pixels have 256 levels and some are black or white.
    """
    random = np.random.default_rng(seed)
    shape = (size, size) if isinstance(size, int) else size
    x, y = np.fft.rfftfreq(shape[1]), np.fft.fftfreq(shape[0])
    radius = np.maximum(np.hypot(x[None, :], y[:, None]), 1.0 / max(shape))
    images = np.empty((count, 3, *shape), np.float32)
    for image in images:
        noise = random.normal(size=(4, *shape))
        fields = np.fft.irfft2(np.fft.rfft2(noise) / radius, s=shape)
        fields /= fields.std(axis=(1, 2), keepdims=True)
        colours = 0.9 * fields[0] + 0.4 * fields[1:]
        pixels = 0.45 + random.uniform(0.15, 0.3) * colours + random.normal(0.0, 0.08)
        image[...] = np.floor(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5) / 255.0
    mean, deviation = (np.array(values, np.float32)[:, None, None] for values in (MEAN, DEVIATION))
    return (images - mean) / deviation


def calibration() -> tuple[np.ndarray]:
    """Images [16, 3, 224, 224] to calibrate with; there are no labels."""
    return (photographs(CALIBRATION, seed=1),)


def few() -> tuple[np.ndarray]:
    """The first of them [8, 3, 224, 224], for a large model."""
    return (photographs(FEW, seed=1),)


def heldout() -> tuple[np.ndarray]:
    """Other images [2, 3, 224, 224]; there are no labels."""
    return (photographs(HELD_OUT, seed=2),)


def street_calibration() -> tuple[np.ndarray]:
    """Images [16, 3, 128, 256] to calibrate M3ViT with; there are no labels."""
    return (photographs(CALIBRATION, seed=3, size=(128, 256)),)


def street_heldout() -> tuple[np.ndarray]:
    """Other images [2, 3, 128, 256]; there are no labels."""
    return (photographs(HELD_OUT, seed=4, size=(128, 256)),)
