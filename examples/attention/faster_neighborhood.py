# SPDX-License-Identifier: Apache-2.0
"""Faster Neighborhood Attention: each token sees its neighbours, near ones and then ones farther apart.

Hassani et al., "Faster Neighborhood Attention: Reducing the O(n^2) Cost of Self Attention at the Threadblock
Level", 2024; blocks that alternate as in "Dilated Neighborhood Attention Transformer", 2022.

    token i sees the k nearest tokens of its residue class modulo d along each axis, windows inside the grid
"""

from __future__ import annotations

from torch import nn

from hlsgen.examples.attention.generalized_neighborhood import GRID, PATCH, neighborhood
from hlsgen.examples.attention.host import Block, Masked, Transformer, seeded


def model() -> nn.Module:
    """The system, small: a dilation of 1, then of 2."""
    masks = (neighborhood(GRID, 3), neighborhood(GRID, 3, dilation=2))
    return seeded(Transformer(*(Block(Masked(mask)) for mask in masks), patch=PATCH))
