# SPDX-License-Identifier: Apache-2.0
"""Generalized Neighborhood Attention: windows of the grid that neighbouring queries share.

Hassani et al., "Generalized Neighborhood Attention: Multi-dimensional Sparse Attention at the Speed of
Light", 2025. Along each axis of length L, with a window of k, a stride of s and a dilation of d:

    leader = min(s floor(i / s) + floor(s / 2), L - 1),   c = clamp(leader, floor(k / 2), L - ceil(k / 2))
    i sees c - floor(k / 2), ..., c - floor(k / 2) + k - 1;   on a grid: the product of both axes

A dilation cuts the axis into d sequences of every d-th place, each with windows of its own. Windows never
leave the grid, so each query sees k keys along each axis. s = 1 is neighborhood attention, s = k are blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import IMAGE, Block, Masked, Transformer, seeded

PATCH = 2
GRID = IMAGE // PATCH


def along(length: int, window: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """The mask [L, L] of an axis."""
    mask = torch.zeros(length, length, dtype=torch.bool)
    for query in range(length):
        first = query % dilation
        places = range(first, length, dilation)
        at = (query - first) // dilation
        leader = min(at // stride * stride + stride // 2, len(places) - 1)
        centre = min(max(leader, window // 2), len(places) - (window + 1) // 2)
        begin = centre - window // 2
        mask[query, places[begin : begin + window]] = True
    return mask


def on_grid(rows: Tensor, columns: Tensor) -> Tensor:
    """The mask [H * W, H * W] of the masks of both axes."""
    return torch.kron(rows.int(), columns.int()).bool()


def neighborhood(length: int, window: int, stride: int = 1, dilation: int = 1) -> Tensor:
    """The mask of a square grid with the same window along both axes."""
    axis = along(length, window, stride, dilation)
    return on_grid(axis, axis)


def model() -> nn.Module:
    """The system, small: sliding, strided, and blocked windows; one that differs along the axes."""
    strided = on_grid(along(GRID, 5, stride=2), along(GRID, 3, stride=3))
    masks = (neighborhood(GRID, 3), strided, neighborhood(GRID, 4, stride=4))
    return seeded(Transformer(*(Block(Masked(mask)) for mask in masks), patch=PATCH))
