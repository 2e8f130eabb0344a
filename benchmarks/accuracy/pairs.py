# SPDX-License-Identifier: Apache-2.0
"""Images of two digits over crops of photos: 32 x 32, three colours, 100 classes, drawn at random."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hlsgen.examples.pairs.data import DEVIATION, MEAN

SIZE, CLASSES, BACKGROUND = 32, 100, 10
"""Pixels of an edge; classes, 10 a + b for the digit a beside the digit b; a patch's label without ink."""
CONTRAST = 0.35
"""The least difference in brightness of ink and the mean background, of 1."""


@dataclass(frozen=True)
class Material:
    """What images are drawn from."""

    digits: Tensor
    """[N, 28, 28] within 0..1."""
    labels: Tensor
    """[N], 0 to 9."""
    crops: Tensor
    """[M, 3, 32, 32], uint8."""


def crops(photos: list[np.ndarray], count: int, seed: int) -> Tensor:
    """Crops [count, 3, 32, 32] of photos [H, W, 3], at random places, at 1 to 1/4 of the size."""
    random = np.random.default_rng(seed)
    scaled = [[_smaller(photo, by) for by in (1, 2, 3, 4)] for photo in photos]
    result = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for index in range(count):
        image = scaled[random.integers(len(scaled))][random.integers(4)]
        top, left = (random.integers(edge - SIZE + 1) for edge in image.shape[:2])
        cut = image[top : top + SIZE, left : left + SIZE]
        result[index] = cut[:, ::-1] if random.integers(2) else cut
    return torch.from_numpy(result.transpose(0, 3, 1, 2).copy())


def _smaller(photo: np.ndarray, by: int) -> np.ndarray:
    """The photo at 1/by of its size: the mean of each by x by pixels."""
    high, wide = (edge // by for edge in photo.shape[:2])
    parts = photo[: high * by, : wide * by].reshape(high, by, wide, by, 3)
    return np.rint(parts.mean((1, 3))).astype(np.uint8)


def draw(
    material: Material, count: int, random: torch.Generator, *, background: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Images [count, 3, 32, 32] ready for the model, classes [count], and a label for each patch [count, 64].

    A patch's label is the digit whose ink it shows, or `BACKGROUND`. background: the share of the photo's
    contrast that stays.
    """
    chosen = torch.randint(len(material.digits), (2, count), generator=random)
    photo = material.crops[torch.randint(len(material.crops), (count,), generator=random)].float() / 255.0
    mean = photo.mean((2, 3), keepdim=True)
    contrast = background * _between(0.4, 0.9, (count, 1, 1, 1), random)
    image = (mean + contrast * (photo - mean)).clamp(0.0, 1.0)
    inks = []
    for side, index in zip((-0.5, 0.5), chosen, strict=True):
        ink = _placed(material.digits[index], side, random)
        opacity = _between(0.8, 1.0, (count, 1, 1, 1), random)
        image = torch.lerp(image, _colour(mean, random).expand_as(image), opacity * ink)
        inks.append(ink)
    image = image + 0.02 * torch.randn(image.shape, generator=random)
    a, b = material.labels[chosen[0]], material.labels[chosen[1]]
    return (image.clamp(0.0, 1.0) - MEAN) / DEVIATION, 10 * a + b, _patches(inks, a, b)


def _between(low: float, high: float, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=random)


def _placed(digits: Tensor, side: float, random: torch.Generator) -> Tensor:
    """Ink [N, 1, 32, 32] of digits that are turned, slanted, scaled and moved, about the column `side`."""
    count = len(digits)
    angle = _between(-math.radians(15), math.radians(15), (count,), random)
    slant = _between(-0.2, 0.2, (count,), random)
    scale = (SIZE / 28) / _between(0.68, 0.92, (count,), random)
    x, y = side + _between(-0.06, 0.06, (count,), random), _between(-0.3, 0.3, (count,), random)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    first = torch.stack([cosine, cosine * slant - sine], 1)
    second = torch.stack([sine, sine * slant + cosine], 1)
    matrix = torch.stack([first, second], 1)
    moved = torch.cat([matrix, -matrix @ torch.stack([x, y], 1)[:, :, None]], 2)
    grid = functional.affine_grid(moved, [count, 1, SIZE, SIZE], align_corners=False)
    return functional.grid_sample(digits[:, None], grid, align_corners=False)


def _colour(mean: Tensor, random: torch.Generator) -> Tensor:
    """Colours [N, 3, 1, 1] that differ from the mean colour in brightness by `CONTRAST` or more."""
    level = mean.mean(1, keepdim=True)
    share = torch.rand(level.shape, generator=random)
    dark, light = share * (level - CONTRAST), 1.0 - share * (1.0 - level - CONTRAST)
    tint = _between(-0.15, 0.15, (len(mean), 3, 1, 1), random)
    tint = tint - tint.mean(1, keepdim=True)
    return (torch.where(level > 0.5, dark, light) + tint).clamp(0.0, 1.0)


def _patches(inks: list[Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Labels [N, 64] of 4 x 4 patches: the digit with more ink, where there are two pixels' worth of it."""
    left, right = (16.0 * functional.avg_pool2d(ink, 4).flatten(1) for ink in inks)
    label = torch.where(left > right, a[:, None], b[:, None])
    return torch.where(torch.maximum(left, right) < 2.0, BACKGROUND, label)
