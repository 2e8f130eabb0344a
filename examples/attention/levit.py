# SPDX-License-Identifier: Apache-2.0
"""LeViT's attention: a bias for each distance between two patches, wide values, hard-swish, batch norms.

Graham et al., "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference", 2021.

    S_h,ij = q_h,i k_h,j / sqrt(d) + B_h[|dy|, |dx|];   y = proj(hardswish(A V)),  v twice as wide as k
    x = x + y,   x = x + mlp(x);   a batch norm behind each linear layer

A layer that shrinks has queries of every other row and column, with distances to all patches. The published
stem of four convolutions waits for convolutions on grids; here patches are cut at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, HEADS, IMAGE, PATCH, WIDTH, seeded

GRID = IMAGE // PATCH
KEY, RATIO = WIDTH // HEADS, 2


class Normed(nn.Module):
    """A linear layer and a batch norm of its channels."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.c, self.bn = nn.Linear(width, out, bias=False), nn.BatchNorm1d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(x)
        return self.bn(x.flatten(0, 1)).reshape_as(x)


class Attention(nn.Module):
    """[B, T, width] -> [B, T', out]; `stride` 2 keeps every other row and column of queries."""

    index: Tensor

    def __init__(self, out: int = WIDTH, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.q, self.kv = Normed(WIDTH, HEADS * KEY), Normed(WIDTH, HEADS * (1 + RATIO) * KEY)
        self.act, self.proj = nn.Hardswish(), Normed(HEADS * RATIO * KEY, out)
        self.biases = nn.Parameter(torch.zeros(HEADS, GRID * GRID))
        keys = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID))
        line = torch.arange(0, GRID, stride)
        apart = (torch.cartesian_prod(line, line)[:, None] - keys[None]).abs()
        self.register_buffer("index", apart[..., 0] * GRID + apart[..., 1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        k, v = self.kv(x).view(batch, tokens, HEADS, -1).split([KEY, RATIO * KEY], dim=3)
        k, v = k.permute(0, 2, 3, 1), v.permute(0, 2, 1, 3)
        asks = x.view(batch, GRID, GRID, width)[:, :: self.stride, :: self.stride].reshape(batch, -1, width)
        q = self.q(asks).view(batch, -1, HEADS, KEY).permute(0, 2, 1, 3)
        attn = (q @ k * KEY**-0.5 + self.biases[:, self.index]).softmax(dim=-1)
        return self.proj(self.act((attn @ v).transpose(1, 2).reshape(batch, -1, HEADS * RATIO * KEY)))


class LeVit(nn.Module):
    """A stage, a layer that shrinks, and its MLP."""

    def __init__(self, wide: int = 48) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.attn, self.shrink = Attention(), Attention(wide, stride=2)
        self.mlp1, self.mlp2 = (
            nn.Sequential(Normed(w, 2 * w), nn.Hardswish(), Normed(2 * w, w)) for w in (WIDTH, wide)
        )
        self.bn, self.head = nn.BatchNorm1d(wide), nn.Linear(wide, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = x + self.attn(x)
        x = x + self.mlp1(x)
        x = self.shrink(x)
        x = x + self.mlp2(x)
        return self.head(self.bn(x.mean(1)))


def model() -> nn.Module:
    """The system, small."""
    return seeded(LeVit())
