# SPDX-License-Identifier: Apache-2.0
"""BEiT: a bias for each head and each step between two patches, and three for the class token.

Bao et al., "BEiT: BERT Pre-Training of Image Transformers", 2021; data2vec's vision model has it, too.

    S_h,ij = q_h,i k_h,j / sqrt(d) + B_h[step(i, j)];    x = x + gamma * f(LN(x));   keys have no bias
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, IMAGE, PATCH, WIDTH, Biased, Mlp, Transformer, seeded

GRID = IMAGE // PATCH
STEPS = (2 * GRID - 1) ** 2


def steps() -> Tensor:
    """Which entry of a table [STEPS + 3] each pair of tokens has, [1 + T, 1 + T]."""
    places = torch.stack(torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")).flatten(1)
    y, x = places[:, :, None] - places[:, None, :] + GRID - 1
    found = torch.zeros(1 + GRID * GRID, 1 + GRID * GRID, dtype=torch.long)
    found[1:, 1:] = y * (2 * GRID - 1) + x
    found[0, :], found[:, 0], found[0, 0] = STEPS, STEPS + 1, STEPS + 2
    return found


class Relative(Biased):
    """Attention with a table of biases."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(STEPS + 3, HEADS))
        self.register_buffer("index", steps(), persistent=False)

    def bias(self) -> Tensor:
        return self.table[self.index.flatten()].reshape(*self.index.shape, -1).permute(2, 0, 1)


class Layer(nn.Module):
    """A block with LayerScale."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn, self.mlp = Relative(), Mlp()
        self.lambda_1, self.lambda_2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.lambda_1 * self.attn(self.norm1(x))
        return x + self.lambda_2 * self.mlp(self.norm2(x))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Layer(), Layer(), prefix=1))
