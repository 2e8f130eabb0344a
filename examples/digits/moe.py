# SPDX-License-Identifier: Apache-2.0
"""A multi-task mixture-of-experts transformer on the digits: which digit, and what each patch shows."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hlsgen.examples.digits.model import Attention, Block
from hlsgen.nn import MoE

WEIGHTS = Path(__file__).with_name("moe.safetensors")
EXPERTS, CHOICES = 8, 2
CLASSES, KINDS = 10, 3
"""Digits; kinds of patch: outside, stroke, enclosed (see `data.patch_kinds`)."""


class ExpertBlock(nn.Module):
    """Pre-norm transformer block with a mixture of experts."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        """`hidden` is an expert's middle layer."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.moe = MoE(width, hidden, EXPERTS, CHOICES, tasks=2)

    def forward(self, x: Tensor, task: Tensor | int) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = x + self.attn(self.norm1(x))
        return x + self.moe(self.norm2(x), task)


class DigitsMoE(nn.Module):
    """Images [B, 1, 8, 8] and a task -> digit logits [B, 10] and patch logits [B, 16, 3]."""

    def __init__(self, width: int = 32, heads: int = 4, hidden: int = 48, dropout: float = 0.0) -> None:
        """A dense block, then two with experts: 17 tokens, of which the first is the class token."""
        super().__init__()
        self.patch_embed = nn.Conv2d(1, width, 2, stride=2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, width))
        self.first = Block(width, heads, 2 * width, dropout)
        self.blocks = nn.ModuleList(ExpertBlock(width, heads, hidden) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.digit = nn.Linear(width, CLASSES)
        self.kind = nn.Linear(width, KINDS)

    def forward(self, images: Tensor, task: Tensor | int) -> tuple[Tensor, Tensor]:
        """Both results; only the task's is of use, for the task chose the experts."""
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        x = self.first(x)
        for block in self.blocks:
            x = block(x, task)
        x = self.norm(x)
        return self.digit(x[:, 0]), self.kind(x[:, 1:])


def digits_moe() -> DigitsMoE:
    """The trained model, in eval mode: images [B, 1, 8, 8] and a task (0 digit, 1 kinds of patches)."""
    model = DigitsMoE()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()
