# SPDX-License-Identifier: Apache-2.0
"""DINOv2 with registers in the hand of its own repository: LayerScale, registers behind the positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from support.retold import CHANNELS, DIM, HEADS, PATCHES


class PatchEmbed(nn.Module):
    """A convolution whose kernel is its stride, then tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(CHANNELS, DIM, kernel_size=4, stride=4), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        _, _, h, w = x.shape
        assert h % 4 == 0, f"Input image height {h} is not a multiple of patch height 4"
        assert w % 4 == 0, f"Input image width {w} is not a multiple of patch width 4"
        return self.norm(self.proj(x).flatten(2).transpose(1, 2))


class LayerScale(nn.Module):
    """A gain for each channel of what a branch adds."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(DIM))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Attention(nn.Module):
    """The queries are scaled, not the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = (DIM // HEADS) ** -0.5
        self.qkv, self.proj, self.drop = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM), nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * self.scale, qkv[1], qkv[2]
        attn = self.drop((q @ k.transpose(-2, -1)).softmax(dim=-1))
        return self.drop(self.proj((attn @ v).transpose(1, 2).reshape(b, n, c)))


class Block(nn.Module):
    """Both branches scaled by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM, eps=1e-6), nn.LayerNorm(DIM, eps=1e-6)
        self.attn, self.ls1, self.ls2 = Attention(), LayerScale(), LayerScale()
        self.fc1, self.act, self.fc2 = nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.fc2(self.act(self.fc1(self.norm2(x)))))


class LinearProbe(nn.Module):
    """The backbone, and a linear classifier of the class token beside the mean of the patches."""

    def __init__(self, registers: int = 4, depth: int = 2) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed()
        self.cls_token = nn.Parameter(torch.empty(1, 1, DIM))
        self.pos_embed = nn.Parameter(torch.empty(1, PATCHES + 1, DIM))
        self.register_tokens = nn.Parameter(torch.empty(1, registers, DIM))
        self.blocks = nn.ModuleList([Block() for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(DIM, eps=1e-6), nn.Linear(2 * DIM, 6)

    def prepare_tokens(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = x + self.pos_embed
        registers = self.register_tokens.expand(x.shape[0], -1, -1)
        return torch.cat((x[:, :1], registers, x[:, 1:]), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prepare_tokens(x)
        for blk in self.blocks:
            x = blk(x)
        x_norm = self.norm(x)
        patches = x_norm[:, 1 + self.register_tokens.shape[1] :]
        return self.head(torch.cat([x_norm[:, 0], patches.mean(dim=1)], dim=1))


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    return {"dinov2_registers": LinearProbe()}
