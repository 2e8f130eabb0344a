# SPDX-License-Identifier: Apache-2.0
"""IR-Diffusion: pictures made together, whose subjects look at themselves in the other picture.

He et al., "Improving Multi-Subject Consistency in Open-Domain Image Generation with Isolation and Reposition
Attention", 2024.

    isolation:   a query of subject i sees no key of subject j; the background sees all of its picture
    reposition:  the other picture's subject, resampled into this one's box, joins the keys and values
    softmax(Q [K; R K].T / sqrt(d) + mask) [V; R V],   R constant: which places of the other picture, how much

Both pictures lie side by side in one image. Noise and time steps of the diffusion are the host's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hlsgen.examples.attention.host import IMAGE, Attention, Block, Transformer, seeded

PATCH = 2
ROWS, COLUMNS = IMAGE // PATCH, IMAGE // PATCH // 2
"""Tokens of a picture."""
Box = tuple[int, int, int, int]
BOXES: tuple[tuple[Box, Box], ...] = (((0, 0, 3, 4), (1, 0, 3, 2)), ((4, 1, 3, 2), (5, 0, 3, 4)))
"""For each subject its box in both pictures: top, left, height, width."""


def inside(box: Box) -> Tensor:
    """Which tokens [ROWS, COLUMNS] of a picture lie in a box."""
    top, left, height, width = box
    mask = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    mask[top : top + height, left : left + width] = True
    return mask


def subjects() -> Tensor:
    """The subject of each token of both pictures [ROWS, 2 * COLUMNS], 0 for the background."""
    found = torch.zeros(ROWS, 2 * COLUMNS, dtype=torch.long)
    for number, boxes in enumerate(BOXES, 1):
        for picture, box in enumerate(boxes):
            found[:, picture * COLUMNS : (picture + 1) * COLUMNS][inside(box)] = number
    return found


def weights(size: int, new: int) -> Tensor:
    """Linear resampling [new, size] of an axis."""
    line = torch.eye(size)[None]
    return nn.functional.interpolate(line, size=new, mode="linear", align_corners=False)[0].T


def reposition() -> tuple[Tensor, Tensor]:
    """The matrix [N, T] that resamples subjects into the other picture's boxes, and the place of each row."""
    places = torch.arange(ROWS * 2 * COLUMNS).reshape(ROWS, 2 * COLUMNS)
    matrix, targets = [], []
    for boxes in BOXES:
        for picture in (0, 1):
            top, left, height, width = boxes[picture]
            y, x, h, w = boxes[1 - picture]
            x, left = x + (1 - picture) * COLUMNS, left + picture * COLUMNS
            source = places[y : y + h, x : x + w].flatten()
            part = torch.zeros(height * width, places.numel())
            part[:, source] = torch.kron(weights(h, height), weights(w, width))
            matrix.append(part)
            targets.append(places[top : top + height, left : left + width].flatten())
    return torch.cat(matrix), torch.cat(targets)


class Consistent(Attention):
    """Isolation and reposition attention."""

    matrix: Tensor
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        matrix, targets = reposition()
        subject, picture = subjects().flatten(), (torch.arange(2 * COLUMNS) // COLUMNS).repeat(ROWS)
        same = (subject[:, None] == subject) | (subject[:, None] == 0) | (subject == 0)
        own = same & (picture[:, None] == picture)
        moved = (subject[:, None] == subject[targets]) & (picture[:, None] == picture[targets])
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("mask", torch.cat((own, moved), dim=1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        k, v = (torch.cat((part, self.matrix @ part), dim=2) for part in (k, v))
        scores = ((q * self.scale) @ k.transpose(-2, -1)).masked_fill(~self.mask, -torch.inf)
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(x.shape))


def model() -> nn.Module:
    """The system, small."""
    return seeded(Transformer(Block(Consistent()), Block(Consistent()), patch=PATCH))
