# SPDX-License-Identifier: Apache-2.0
"""The images: scikit-learn's bundled 8x8 digits in a fixed split, and seeded random images."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

HELD_OUT = 397
CALIBRATION = 512


def _file() -> Path:
    """What `sklearn.datasets.load_digits` reads; importing scikit-learn would cost a second."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    return Path(package.origin).parent / "datasets/data/digits.csv.gz"


def _split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [1797, 1, 8, 8] within -1..1, labels, and the order that defines the split.

    The first `HELD_OUT` of the order are held out: of every digit the same share, chosen by a hash of the
    image's number, which no run can tune.
    """
    rows = np.loadtxt(_file(), delimiter=",")
    pixels, labels = rows[:, :-1], rows[:, -1].astype(np.int64)
    images = (pixels.reshape(-1, 1, 8, 8) / 8.0 - 1.0).astype(np.float32)
    share = np.zeros(len(images))
    for digit in np.unique(labels):
        mine = sorted(np.flatnonzero(labels == digit), key=_hash)
        share[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return images, labels, np.argsort(share, kind="stable")


def _hash(number: np.intp) -> bytes:
    return hashlib.sha256(f"hlsgen digits {number}".encode()).digest()


def training() -> tuple[np.ndarray, np.ndarray]:
    """Images [1400, 1, 8, 8] and labels [1400] to train on."""
    images, labels, order = _split()
    return images[order[HELD_OUT:]], labels[order[HELD_OUT:]]


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """Images [512, 1, 8, 8] and labels [512] to calibrate with: a part of the training images."""
    images, labels = training()
    return images[:CALIBRATION], labels[:CALIBRATION]


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """Images [397, 1, 8, 8] and labels [397] that training and calibration never see."""
    images, labels, order = _split()
    return images[order[:HELD_OUT]], labels[order[:HELD_OUT]]


def patch_kinds(images: np.ndarray) -> np.ndarray:
    """What each 2 x 2 patch shows, [N, 16] in raster order: 0 outside, 1 stroke, 2 enclosed by the stroke.

    Ink is a pixel of half the range or more. Paper that is not connected with the border, by edges, is
    enclosed; a patch with such a pixel is, whatever else it shows; of the others, two pixels of ink make a
    stroke. A dense task: one patch alone does not tell what encloses it.
    """
    ink = images[:, 0] >= 0.0
    outside = np.zeros((len(images), 10, 10), bool)
    outside[:, [0, -1], :] = outside[:, :, [0, -1]] = True
    paper = np.pad(~ink, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    for _ in range(64):  # at most as many steps as there are pixels
        grown = outside.copy()
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown[:, :, 1:] |= outside[:, :, :-1]
        grown[:, :, :-1] |= outside[:, :, 1:]
        grown &= paper
        if (grown == outside).all():
            break
        outside = grown
    enclosed = ~ink & ~outside[:, 1:-1, 1:-1]
    parts = [part.reshape(-1, 4, 2, 4, 2).sum((2, 4)).reshape(-1, 16) for part in (ink, enclosed)]
    return np.where(parts[1] > 0, 2, (parts[0] >= 2).astype(np.int64))


def _random_images(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    images = np.clip(random.normal(0.0, 0.6, (count, 2, 9, 6)), -2.0, 2.0).astype(np.float32)
    return images, random.integers(0, 7, count)


def awkward_calibration() -> tuple[np.ndarray, np.ndarray]:
    """Random images [128, 2, 9, 6] and labels [128] for the awkward model; the labels mean nothing."""
    return _random_images(1, 128)


def awkward_data() -> tuple[np.ndarray, np.ndarray]:
    """Other random images [64, 2, 9, 6] and labels [64] for the awkward model."""
    return _random_images(2, 64)
