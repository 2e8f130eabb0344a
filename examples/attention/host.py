# SPDX-License-Identifier: Apache-2.0
"""What the systems share: patches, positions, masked attention, an MLP, seeded weights; nothing of hlsgen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGE, PATCH, WIDTH, HEADS, CLASSES = 16, 4, 32, 4, 10
TOKENS = (IMAGE // PATCH) ** 2
SHAPE = (3, IMAGE, IMAGE)


class Mlp(nn.Module):
    """Two linear layers with a function between, GELU where it is not given."""

    def __init__(self, width: int = WIDTH, hidden: int = 2 * WIDTH, act: nn.Module | None = None) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), act or nn.GELU(), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    """Softmax attention of all tokens."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values [B, heads, T, d]."""
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        return parts.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


class Masked(Attention):
    """Attention under a mask [T, T] or [heads, T, T], true where a query sees a key."""

    mask: Tensor

    def __init__(self, mask: Tensor, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__(width, heads)
        self.register_buffer("mask", mask, persistent=False)

    def weigh(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The heads' results [B, heads, T, d]."""
        scores = (q * self.scale) @ k.transpose(-2, -1)
        return scores.masked_fill(~self.mask, -torch.inf).softmax(dim=-1) @ v

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.weigh(*self.split(x)).transpose(1, 2).reshape(x.shape))


class Biased(Attention):
    """Attention whose scores have a constant added, which `bias` makes of parameters."""

    def bias(self) -> Tensor:
        """What is added to scores [heads, T, T]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = ((q * self.scale) @ k.transpose(-2, -1) + self.bias()).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(
        self, attention: nn.Module | None = None, act: nn.Module | None = None, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = attention or Attention(width), Mlp(width, 2 * width, act)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Tokens(nn.Module):
    """Images [B, 3, H, W] -> tokens [B, prefix + T, width]: patches behind learned ones, with positions."""

    def __init__(self, prefix: int = 0, patch: int = PATCH) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, patch, stride=patch)
        self.prefix = nn.Parameter(torch.zeros(1, prefix, WIDTH))
        self.positions = nn.Parameter(torch.zeros(1, prefix + (IMAGE // patch) ** 2, WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        x = self.proj(images).flatten(2).transpose(1, 2)
        return torch.cat((self.prefix.expand(len(x), -1, -1), x), dim=1) + self.positions


class Transformer(nn.Module):
    """Tokens, blocks, a norm, the mean of all tokens, and the classes."""

    def __init__(self, *blocks: nn.Module, prefix: int = 0, patch: int = PATCH) -> None:
        super().__init__()
        self.embed, self.blocks = Tokens(prefix, patch), nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(images))).mean(dim=1))


class Causal(Transformer):
    """Tokens that see none behind them; the last one is read."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(images))[:, -1]))


def causal(tokens: int) -> Tensor:
    """The mask [T, T] of tokens that see none behind them."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights that keep the size of a layer's input, biases, gains near one; in eval mode."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1.0 + 0.1 * noise)
            elif parameter.dim() > 1 and name.endswith("weight"):
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(0.5 * noise)
    return model.eval()
