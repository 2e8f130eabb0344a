# SPDX-License-Identifier: Apache-2.0
"""DeiT-Tiny's blocks with Generalized Neighborhood Attention, by blocks of 7 x 7 tokens; no class token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EDGE, WIDTH, HEADS, BLOCKS, WINDOW, CLASSES = 224, 192, 3, 12, 7, 1000


class Blocked(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); a query sees the keys of its block of the grid."""

    seen: Tensor

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        block = torch.arange(grid) // WINDOW
        number = (block[:, None] * grid + block).flatten()
        self.register_buffer("seen", number[:, None] == number, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, self.seen)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class Neighbourhoods(nn.Module):
    """A grid of `grid` x `grid` tokens with positions, blocks, a norm, the mean, classes."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        patch = EDGE // grid
        self.embed = nn.Conv2d(3, WIDTH, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(1, grid * grid, WIDTH))
        self.blocks = nn.Sequential(*(Blocked(grid) for _ in range(BLOCKS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))
