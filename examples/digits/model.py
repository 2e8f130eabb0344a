# SPDX-License-Identifier: Apache-2.0
"""The models: plain PyTorch, nothing of hlsgen.

`digits()` is the trained example, `awkward()` a deliberately awkward shape with seeded random weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).with_name("weights.safetensors")


class Attention(nn.Module):
    """Self-attention on one fused projection."""

    def __init__(self, width: int, heads: int) -> None:
        """`heads` must divide `width`."""
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        context = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(context.transpose(1, 2).reshape(batch, tokens, width))


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        """`hidden` is the width in the middle."""
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        return self.drop(self.fc2(self.act(self.fc1(x))))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        """Same arguments as `VisionTransformer`."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Images [B, C, H, W] -> logits [B, classes], through a class token."""

    def __init__(
        self,
        *,
        image: int,
        patch: int,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        classes: int,
        dropout: float = 0.0,
    ) -> None:
        """`image` and `patch` are edge lengths in pixels; `hidden` is the MLP's width."""
        super().__init__()
        tokens = 1 + (image // patch) ** 2
        self.patch_embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes]."""
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class HandAttention(nn.Module):
    """Self-attention written by hand: matmul, scale, softmax, matmul; three projections."""

    def __init__(self, width: int, heads: int) -> None:
        """`heads` must divide `width`."""
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        q, k, v = self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))
        logits = (q @ k.transpose(-2, -1)) * self.scale
        return self.out((logits.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


class AwkwardTransformer(nn.Module):
    """Odd sizes everywhere: 9 tokens, 3 heads of 5, width 15, MLP 22, 7 classes, pooling by mean."""

    def __init__(self) -> None:
        """Take no arguments: the shape is the point."""
        super().__init__()
        width, heads, hidden, self.depth = 15, 3, 22, 2
        self.embed = nn.Conv2d(2, width, kernel_size=(3, 2), stride=(3, 2))
        self.position = nn.Parameter(torch.zeros(1, 9, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(2 * self.depth))
        self.attentions = nn.ModuleList(HandAttention(width, heads) for _ in range(self.depth))
        self.up = nn.ModuleList(nn.Linear(width, hidden) for _ in range(self.depth))
        self.down = nn.ModuleList(nn.Linear(hidden, width) for _ in range(self.depth))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, 7)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 2, 9, 6] -> [B, 7]."""
        x = self.embed(images).flatten(2).transpose(1, 2) + self.position
        for i in range(self.depth):
            x = self.attentions[i](self.norms[2 * i](x)) + x
            x = self.down[i](functional.gelu(self.up[i](self.norms[2 * i + 1](x)), approximate="tanh")) + x
        return self.classify(self.norm(x.mean(dim=1)))


def untrained(dropout: float = 0.0) -> VisionTransformer:
    """The digits model with fresh weights: 17 tokens, width 32, 4 heads, 3 blocks, MLP 64."""
    return VisionTransformer(
        image=8, patch=2, channels=1, width=32, depth=3, heads=4, hidden=64, classes=10, dropout=dropout
    )


def digits() -> VisionTransformer:
    """The trained digits model, in eval mode: images [B, 1, 8, 8]."""
    model = untrained()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def awkward() -> AwkwardTransformer:
    """The awkward model, in eval mode: images [B, 2, 9, 6]; weights seeded so that nothing is degenerate."""
    model = AwkwardTransformer().eval()
    random = torch.Generator().manual_seed(29)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if "norm" in name:
                parameter.copy_(0.2 * noise + float(name.endswith("weight")))
            elif parameter.dim() == 1:
                parameter.copy_(0.1 * noise)
            elif name == "position":
                parameter.copy_(0.3 * noise)
            else:
                # Queries and keys get a gain so that softmax rows are far from uniform.
                gain = 1.6 if "query" in name or "key" in name else 1.0
                parameter.copy_(gain * noise / parameter[0].numel() ** 0.5)
    return model
