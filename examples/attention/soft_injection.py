# SPDX-License-Identifier: Apache-2.0
"""Soft Injection: a task's stored vectors are mixed into the results of heads, instead of examples before it.

"Soft Injection of Task Embeddings Outperforms Prompt-Based In-Context Learning", 2025.

    o_h := (1 - a_h) o_h + a_h e_h,   e_h the mean result of head h over examples, a_h in [0, 1];   causal

e and a are found offline; both become part of the projection behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import HEADS, TOKENS, WIDTH, Block, Causal, Masked, causal, seeded


class Injected(Masked):
    """Causal attention with shares a_h [heads, 1, 1] and stored vectors e_h [heads, 1, d]."""

    def __init__(self) -> None:
        super().__init__(causal(TOKENS))
        self.share = nn.Parameter(torch.zeros(HEADS, 1, 1))
        self.stored = nn.Parameter(torch.zeros(HEADS, 1, WIDTH // HEADS))

    def forward(self, x: Tensor) -> Tensor:
        share = self.share.sigmoid()
        y = (1 - share) * self.weigh(*self.split(x)) + share * self.stored
        return self.proj(y.transpose(1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Causal(Block(Injected()), Block(Injected())))
