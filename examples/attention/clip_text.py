# SPDX-License-Identifier: Apache-2.0
"""CLIP's text tower: causal attention, QuickGELU, a projection of the last token.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.

    x = X + positions;  pre-norm blocks, softmax(q k.T / sqrt(d) + M),  M_ij = -inf for j > i;  LN(x_last) W

Words come from a table in the paper, which waits for embeddings by number; here they are patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.clip import QuickGELU
from hlsgen.examples.attention.host import CLASSES, TOKENS, WIDTH, Biased, Block, Tokens, seeded


class CausalAttention(Biased):
    """The mask is added, as numbers."""

    def bias(self) -> Tensor:
        return torch.full((TOKENS, TOKENS), -torch.inf).triu_(1)


class TextTower(nn.Module):
    """[B, 3, H, W] -> [B, embedding]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.ln_final = Tokens(), nn.LayerNorm(WIDTH)
        self.blocks = nn.Sequential(*(Block(CausalAttention(), QuickGELU()) for _ in range(2)))
        self.text_projection = nn.Parameter(torch.zeros(WIDTH, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        x = self.ln_final(self.blocks(self.embed(images)))
        return x[:, -1] @ self.text_projection


def model() -> nn.Module:
    """The system, small."""
    return seeded(TextTower())
