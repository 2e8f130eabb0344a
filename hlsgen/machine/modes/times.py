# SPDX-License-Identifier: Apache-2.0
"""Cycles: what a mode is told of the machine's stages, and what it says of a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Cycles from one event to another; a tile is there in the cycle in which MULTIPLY may issue its step.

    rows: the last read of rows, exp or patches to the tile there. norm: a layer norm row's last read to its
    first word in the tile. pool, pool_norm: the last read to the tile's first word.
    list_start: before the first row of a run list.
    row_spacing: least cycles between two rows of layer norm.
    patch_measure: before a pass over the image. patch_tile: behind a tile of patches. patch_row: before a
    patch.
    pixel: a word of pixels to the patch that it completes.
    route: a token's last logit to its last queue entry, beyond its walks over logits and choices.
    route_all: how much later where all experts' weights are added up. route_pace: logits a cycle.
    select: a block's last step to its first group's selection, which takes a constant word.
    drain: a block's last step to its first group's write.
    read_drained: a tile's last write to LOAD's first read of it. read_scores: the same for scores, from the
    write that a tile of rows would have. operands_drained: a command's last write to MULTIPLY's first step
    with its keys or values.
    """

    rows: int
    norm: int
    pool: int
    pool_norm: int
    list_start: int
    row_spacing: int
    patch_measure: int
    patch_tile: int
    patch_row: int
    pixel: int
    route: int
    route_all: int
    route_pace: int
    select: int
    drain: int
    read_drained: int
    read_scores: int
    operands_drained: int


class LoadTime(NamedTuple):
    """Cycles of reading, from the first read on, and from then until the tile is there.

    pixels: words of the image that must have come. after_pixels: cycles of reading after them, at least.
    """

    reads: int
    there: int
    pixels: int = 0
    after_pixels: int = 0
