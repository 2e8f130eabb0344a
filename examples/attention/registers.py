# SPDX-License-Identifier: Apache-2.0
"""A vision transformer with registers and LayerScale, as DINOv2's.

Darcet et al., "Vision Transformers Need Registers", 2023; Oquab et al., "DINOv2", 2023.

    X_0 = [cls; R registers; patches];   x = x + gamma * f(LN(x));   head reads [cls, mean of the patches]
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, WIDTH, Attention, Mlp, Tokens, seeded

REGISTERS = 4


class Scaled(nn.Module):
    """A block with LayerScale."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn, self.mlp = Attention(), Mlp()
        self.ls1, self.ls2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1 * self.attn(self.norm1(x))
        return x + self.ls2 * self.mlp(self.norm2(x))


class Registers(nn.Module):
    """Class token and mean of the patches together; registers are left behind."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.blocks = Tokens(prefix=1 + REGISTERS), nn.Sequential(Scaled(), Scaled())
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.embed(images)))
        return self.head(torch.cat((x[:, 0], x[:, 1 + REGISTERS :].mean(dim=1)), dim=-1))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Registers())
