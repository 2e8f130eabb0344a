# SPDX-License-Identifier: Apache-2.0
"""CLIP's vision tower: a norm into the residual stream, QuickGELU, a projection of the class token.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.

    x = LN_pre([cls; patches] + positions);  pre-norm blocks with x * sigmoid(1.702 x);  LN_post(x_0) W
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, WIDTH, Block, Tokens, seeded


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class VisionTower(nn.Module):
    """[B, 3, H, W] -> [B, embedding]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.ln_pre, self.ln_post = Tokens(prefix=1), nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.blocks = nn.Sequential(*(Block(act=QuickGELU()) for _ in range(2)))
        self.proj = nn.Parameter(torch.zeros(WIDTH, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.ln_pre(self.embed(images)))
        return self.ln_post(x[:, 0, :]) @ self.proj


def model() -> nn.Module:
    """The system, small."""
    return seeded(VisionTower())
