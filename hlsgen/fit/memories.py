# SPDX-License-Identifier: Apache-2.0
"""The machine's memories as the RTL has them, and the RAM blocks that they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hlsgen.machine.format.constants import RECORD_BITS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div

BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Depth and width of an 18 kbit block with one write and one read port; the same on ECP5 and UltraScale+."""
LUT_CELLS_PER_BLOCK = 16
"""16x4 bit cells of LUT memory that synthesis prefers to one block."""


@dataclass(frozen=True, kw_only=True)
class RamShape:
    """`count` equal memories of `depth` words of `width` bits."""

    name: str
    count: int
    depth: int
    width: int

    @property
    def bits(self) -> int:
        return self.count * self.depth * self.width

    @property
    def blocks(self) -> int:
        """18 kbit RAM blocks; 0 where LUT memory is cheaper."""
        each = min(ceil_div(self.depth, depth) * ceil_div(self.width, width) for depth, width in BLOCK_SHAPES)
        cells = ceil_div(self.depth, 16) * ceil_div(self.width, 4)
        return 0 if cells <= LUT_CELLS_PER_BLOCK * each else self.count * each


def weight_ring(p: MachineParameters) -> RamShape:
    """The weights of sweeps, one step to the word."""
    return RamShape(name="weight ring", count=1, depth=p.ring_words, width=8 * p.columns * p.depth)


def memories(p: MachineParameters) -> Iterator[RamShape]:
    """Every memory of some size; a second read port is a second copy, lanes of steps have D/C banks."""
    word, banks, width = 8 * p.columns, max(1, p.depth // p.columns), p.row_width
    residual, features = ceil_div(p.residual_words, width), ceil_div(p.feature_words, width)
    yield RamShape(name="residual", count=2 * width, depth=residual, width=2 * word)
    yield RamShape(name="features", count=width, depth=features, width=word)
    yield RamShape(name="image", count=1, depth=p.image_words, width=word)
    keys, tiles = ceil_div(p.key_words, banks), p.tile_slots * ceil_div(p.tile_words, banks)
    yield RamShape(name="keys", count=p.columns * banks, depth=keys, width=word)
    yield RamShape(name="values", count=p.depth, depth=p.value_words, width=word)
    scores = 2 * p.rows // width * p.score_words
    yield RamShape(name="scores", count=width, depth=scores, width=p.columns * p.logit_bits)
    yield RamShape(name="tile slots", count=p.rows * banks, depth=tiles, width=word)
    yield weight_ring(p)
    yield RamShape(name="constant ring", count=1, depth=p.constant_words, width=RECORD_BITS * p.columns)
    # Tables are written eight entries at a time: two banks of entries/8 words of 64 bits.
    yield RamShape(name="activation table", count=width * p.columns, depth=2 * 256 // 8, width=64)
    yield RamShape(name="exp table", count=width * p.columns, depth=(2 << p.logit_bits) // 8, width=64)
    yield RamShape(name="norm rows", count=width, depth=p.tile_words + 64, width=2 * word + 32)
    yield RamShape(name="root table", count=width, depth=512, width=28)


def image_rom(p: MachineParameters, image_bytes: int) -> RamShape:
    """The Image in block RAM behind the bus."""
    return RamShape(name="Image", count=1, depth=ceil_div(image_bytes, p.bus_bytes), width=8 * p.bus_bytes)
