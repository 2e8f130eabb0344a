# SPDX-License-Identifier: Apache-2.0
"""QK-norm: each head's queries and keys are normalised before they meet.

Henry et al., "Query-Key Normalization for Transformers", 2020; Dehghani et al., 2023, with layer norms.

    A = softmax(LN(q_h) LN(k_h).T / sqrt(d))
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, WIDTH, Attention, Block, Transformer, seeded


class NormedAttention(Attention):
    """[B, T, width] -> [B, T, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.q_norm, self.k_norm = nn.LayerNorm(WIDTH // HEADS), nn.LayerNorm(WIDTH // HEADS)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q, k = self.q_norm(q), self.k_norm(k)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(NormedAttention()), Block(NormedAttention()), prefix=1))
