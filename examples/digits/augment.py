# SPDX-License-Identifier: Apache-2.0
"""Training images, distorted at random: turned, stretched, slanted, moved, noisy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """The most of everything: degrees, share of the size, slant per row, pixels, standard deviation."""

    turn: float = 12.0
    stretch: float = 0.12
    slant: float = 0.0
    move: float = 0.75
    noise: float = 0.0
    kept: float = 0.25
    """Share of images that stay as they are, but for the noise."""


def distort(images: Tensor, most: Distortion, random: torch.Generator) -> Tensor:
    """Images [N, 1, 8, 8] within -1..1, each distorted for itself; what comes in is background (-1)."""
    count = len(images)

    def up_to(largest: float) -> Tensor:
        return (2.0 * torch.rand(count, generator=random) - 1.0) * largest

    angle = up_to(math.radians(most.turn))
    wide, high, slant = 1.0 + up_to(most.stretch), 1.0 + up_to(most.stretch), up_to(most.slant)
    x, y = up_to(most.move / 4), up_to(most.move / 4)  # the image is 2 wide
    cosine, sine = angle.cos(), angle.sin()
    rows = ((cosine * wide, slant - sine * high, x), (sine * wide, cosine * high, y))
    matrix = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images + 1.0, grid, align_corners=False) - 1.0
    kept = torch.rand(count, generator=random) < most.kept
    result = torch.where(kept[:, None, None, None], images, moved)
    return result + most.noise * torch.randn(result.shape, generator=random) if most.noise else result
