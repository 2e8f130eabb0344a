# SPDX-License-Identifier: Apache-2.0
"""Parallel blocks: attention and MLP read one norm, and both are added to the stream.

Dehghani et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023.

    y = LN(x);   x = x + (attention(y) + mlp(y))
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import WIDTH, Attention, Mlp, Transformer, seeded


class ParallelBlock(nn.Module):
    """[B, T, width] -> [B, T, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn, self.mlp = nn.LayerNorm(WIDTH), Attention(), Mlp()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + (self.attn(y) + self.mlp(y))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(ParallelBlock(), ParallelBlock(), prefix=1))
