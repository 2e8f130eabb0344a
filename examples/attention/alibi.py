# SPDX-License-Identifier: Apache-2.0
"""ALiBi: scores fall with the distance between two tokens, at another slope for each head.

Press et al., "Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation", 2021.

    S_h,ij = q_h,i k_h,j / sqrt(d) - 2^(-8 (h + 1) / H) (i - j),   j <= i;   no positions are added to tokens
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, TOKENS, Biased, Block, Causal, causal, seeded


class Sloped(Biased):
    """Causal attention with linear biases."""

    slopes: Tensor

    def __init__(self) -> None:
        super().__init__()
        slopes = torch.tensor([2 ** (-8 * (head + 1) / HEADS) for head in range(HEADS)])
        self.register_buffer("slopes", slopes, persistent=False)

    def bias(self) -> Tensor:
        place = torch.arange(TOKENS)
        distance = place[:, None] - place
        bias = -self.slopes[:, None, None] * distance
        return bias.masked_fill(~causal(TOKENS), -torch.inf)


class Unplaced(Causal):
    """Patches as they are."""

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed.proj(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)[:, -1]))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Unplaced(Block(Sloped()), Block(Sloped())))
