# SPDX-License-Identifier: Apache-2.0
"""MLP-Mixer: an MLP over tokens instead of attention.

Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", 2021.

    U = X + (W_2 gelu(W_1 LN(X).T)).T          (each channel: a row of tokens)
    Y = U + W_4 gelu(W_3 LN(U))
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import TOKENS, WIDTH, Mlp, Transformer, seeded


class MixerBlock(nn.Module):
    """Tokens are mixed, then channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.tokens, self.channels = Mlp(TOKENS, 24), Mlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(MixerBlock(), MixerBlock()))
