# SPDX-License-Identifier: Apache-2.0
"""ResMLP: one linear layer mixes tokens; affine layers stand where norms do.

Touvron et al., "ResMLP: Feedforward networks for image classification with data-efficient training", 2021.

    Aff(x) = alpha * x + beta;   Z = X + gamma_1 * (A Aff(X).T).T;   Y = Z + gamma_2 * mlp(Aff(Z))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import TOKENS, WIDTH, Mlp, Transformer, seeded


class Affine(nn.Module):
    """A factor and an offset for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.ones(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 1, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.beta, self.alpha, x)


class ResidualBlock(nn.Module):
    """Tokens are mixed by a 1x1 convolution over them, then channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Affine(), Affine()
        self.mix, self.mlp = nn.Conv1d(TOKENS, TOKENS, 1), Mlp()
        self.gamma_1, self.gamma_2 = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gamma_1 * self.mix(self.first(x))
        return x + self.gamma_2 * self.mlp(self.second(x))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(ResidualBlock(), ResidualBlock()))
