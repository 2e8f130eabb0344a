# SPDX-License-Identifier: Apache-2.0
"""Continuous position bias: a small network of the step between two patches gives the bias of their score.

Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", 2022; without windows, as timm's
relative position transformers have it.

    B(dy, dx) = 16 sigmoid(MLP(sign(d) log2(1 + 8 |d| / (n - 1)) / 3)),   d = (dy, dx), n patches in a line

The network sees no image: its results are constants of the compiled model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, IMAGE, PATCH, Biased, Block, Transformer, seeded

GRID = IMAGE // PATCH


class Continuous(Biased):
    """Attention with continuous position bias."""

    steps: Tensor

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.cpb = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, HEADS, bias=False))
        places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).float()
        steps = (places[:, None] - places[None]) * 8 / (GRID - 1)
        steps = steps.sign() * torch.log2(1 + steps.abs()) / math.log2(8)
        self.register_buffer("steps", steps, persistent=False)

    def bias(self) -> Tensor:
        return 16 * self.cpb(self.steps).permute(2, 0, 1).sigmoid()


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(Continuous()), Block(Continuous())))
