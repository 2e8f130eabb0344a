# SPDX-License-Identifier: Apache-2.0
"""Post-norm blocks: the residual stream itself is normalised.

Vaswani et al., "Attention Is All You Need", 2017.

    x = LN(x + attention(x));   x = LN(x + mlp(x))
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import WIDTH, Attention, Mlp, Transformer, seeded


class PostNormBlock(nn.Module):
    """[B, T, width] -> [B, T, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn, self.mlp = Attention(), Mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attn(x))
        return self.norm2(x + self.mlp(x))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(PostNormBlock(), PostNormBlock(), prefix=1))
