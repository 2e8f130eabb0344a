# SPDX-License-Identifier: Apache-2.0
"""Efficient Probing: a classifier head that attends with learned queries, without query and key projections.

Psomas et al., "Attention, Please! Revisiting Attentive Probing Through the Lens of Efficiency", 2025.

    a_m = softmax(q_m X.T / sqrt(D)),  m = 1..M              (keys are the tokens themselves)
    y   = concat_m(a_m V_m),  V = X W_v cut into M slices;   logits = BatchNorm(y) W
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import CLASSES, WIDTH, Block, Tokens, seeded


class EfficientProbing(nn.Module):
    """Tokens [B, T, width] -> [B, width]."""

    def __init__(self, queries: int = 4) -> None:
        super().__init__()
        self.queries, self.scale = nn.Parameter(torch.zeros(1, queries, WIDTH)), WIDTH**-0.5
        self.v = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        count = self.queries.shape[1]
        attn = (self.queries.expand(batch, -1, -1) @ x.transpose(-2, -1) * self.scale).softmax(dim=-1)
        v = self.v(x).reshape(batch, tokens, count, width // count).permute(0, 2, 1, 3)
        return (attn.unsqueeze(2) @ v).reshape(batch, width)


class Probed(nn.Module):
    """A transformer whose frozen features are probed."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.blocks = Tokens(prefix=1), nn.Sequential(Block(), Block())
        self.norm, self.probe = nn.LayerNorm(WIDTH), EfficientProbing()
        self.bn, self.head = nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.embed(images)))
        return self.head(self.bn(self.probe(x[:, 1:])))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Probed())
