# SPDX-License-Identifier: Apache-2.0
"""Cross-covariance attention: channels attend to channels, over all tokens.

El-Nouby et al., "XCiT: Cross-Covariance Image Transformers", 2021 (without its local patch interaction).

    A_h = softmax(normalise(q_h.T) normalise(k_h.T).T * tau_h)   [d, d],   rows normalised along tokens
    Y_h = (A_h v_h.T).T
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.examples.attention.host import HEADS, Attention, Block, Transformer, seeded


class CrossCovariance(Attention):
    """[B, T, width] -> [B, T, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.transpose(-2, -1) for part in self.split(x))
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        weights = (q @ k.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return self.proj((weights @ v).permute(0, 3, 1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(CrossCovariance()), Block(CrossCovariance()), prefix=1))
