# SPDX-License-Identifier: Apache-2.0
"""Gains of heads: each head's result times a number, or drawn towards a stored one.

VHR (vision-aware head reinforcement) and Soft Injection, 2025. Both are constants of a head, so they become
a part of the projection behind the attention, and cost nothing.

    VHR: o_h = alpha_h o_h;      Soft Injection: o_h = (1 - a_h) o_h + a_h e_h,  e_h stored
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, WIDTH, Attention, Block, Transformer, seeded


class Reinforced(Attention):
    """Gains alpha_h, and stored vectors e_h with their shares a_h."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.share = nn.Parameter(torch.zeros(HEADS, 1, 1))
        self.stored = nn.Parameter(torch.zeros(HEADS, 1, WIDTH // HEADS))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        y = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1) @ v * self.gain
        y = (1 - self.share) * y + self.share * self.stored
        return self.proj(y.transpose(1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(Reinforced()), Block(Reinforced()), prefix=1))
