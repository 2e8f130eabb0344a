# SPDX-License-Identifier: Apache-2.0
"""Linear attention: keys meet values first, so that the work grows with the tokens, not with their square.

Katharopoulos et al., "Transformers are RNNs", 2020, with the mean over tokens in the place of the
normaliser phi(Q) sum(phi(K)): Y = phi(Q) (phi(K).T V) / T, phi(x) = elu(x) + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hlsgen.examples.attention.host import Attention, Block, Transformer, seeded


class LinearAttention(Attention):
    """[B, T, width] -> [B, T, width]."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        state = torch.einsum("bhtd,bhte->bhde", k, v)
        y = torch.einsum("bhtd,bhde->bthe", q, state) / x.shape[1]
        return self.proj(y.reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(LinearAttention()), Block(LinearAttention()), prefix=1))
