# SPDX-License-Identifier: Apache-2.0
"""Grouped queries: several heads of queries meet one head of keys and values.

Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints", 2023,
arXiv 2305.13245. With one head of keys and values it is Shazeer, "Fast Transformer Decoding", 2019.

    g = h div (H / G);   A_h = softmax(q_h k_g.T / sqrt(d));   o = concat_h(A_h v_g) W_O
"""

from __future__ import annotations

from torch import Tensor, nn

from hlsgen.examples.attention.host import WIDTH, Block, Transformer, seeded


class GroupedQueries(nn.Module):
    """[B, T, width] -> [B, T, width]: `groups` of keys and values serve `heads` of queries."""

    def __init__(self, heads: int, groups: int, size: int) -> None:
        super().__init__()
        self.size, self.repeats = size, heads // groups
        self.q, self.kv = nn.Linear(WIDTH, heads * size), nn.Linear(WIDTH, 2 * groups * size)
        self.proj = nn.Linear(heads * size, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (-1, self.size)).transpose(1, 2)
            for part in (self.q(x), *self.kv(x).chunk(2, dim=-1))
        )
        k, v = (part.repeat_interleave(self.repeats, dim=1) for part in (k, v))
        weights = (q @ k.transpose(-2, -1) * self.size**-0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


def model() -> nn.Module:
    """Nine heads for three of keys and values, then four for a single one."""
    return seeded(Transformer(Block(GroupedQueries(9, 3, 4)), Block(GroupedQueries(4, 1, 8)), prefix=1))
