# SPDX-License-Identifier: Apache-2.0
"""The machine's memories as the RTL has them, and the RAM blocks that they take."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.boards.families import BlockRam
from hlsgen.machine.format.constants import RECORD_BITS
from hlsgen.machine.format.norm_shifts import PART_BITS, PARTS
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.format.runs import WORD_BYTES


@dataclass(frozen=True, kw_only=True)
class RamShape:
    """`count` equal memories of `depth` words of `width` bits, in blocks like `ram`."""

    name: str
    count: int
    depth: int
    width: int
    ram: BlockRam

    @property
    def bits(self) -> int:
        return self.count * self.depth * self.width

    @property
    def blocks(self) -> int:
        """RAM blocks; 0 where LUT memory is cheaper."""
        return self.count * self.ram.blocks(self.depth, self.width)


WEIGHT_RING = "weight ring"


def memories(p: MachineParameters, ram: BlockRam) -> tuple[RamShape, ...]:
    """Every memory of some size; a second read port is a second copy, lanes of steps have D/C banks."""
    word, banks, width = 8 * p.columns, max(1, p.depth // p.columns), p.row_width
    residual, features = ceil_div(p.residual_words, width), ceil_div(p.feature_words, width)
    keys, tiles = ceil_div(p.key_words, banks), p.tile_slots * ceil_div(p.tile_words, banks)
    # Tables are written eight entries at a time: two banks of entries/8 words of 64 bits.
    activation, exp, tables = (
        (2 << p.activation_bits) // 8,
        (2 * p.numerator_digits << p.logit_bits) // 8,
        width * p.columns,
    )
    sizes = {
        "residual": (2 * width, residual, 2 * word),
        "features": (width, features, word),
        "image": (1, p.image_words, word),
        "keys": (p.columns * banks, keys, word),
        "values": (p.depth, p.value_words, word),
        "scores": (width, p.score_slots * p.rows // width * p.score_words, p.columns * p.logit_bits),
        "tile slots": (p.rows * banks, tiles, word),
        WEIGHT_RING: (1, p.ring_words, 8 * p.columns * p.depth),
        "constant ring": (1, p.constant_words, RECORD_BITS * p.columns),
        "activation table": (tables, activation, 64),
        "exp table": (tables, exp, 64),
        "norm rows": (width, p.tile_words + 64, 2 * word + 32),
        "root table": (width, 512, 28),
    }
    if p.list_words:
        sizes["run lists"] = (1, p.list_words, 8 * WORD_BYTES)
    if p.key_list_words:
        sizes["key lists"] = (1, p.key_list_words, 8 * WORD_BYTES)
    if p.norm_shift_words:
        sizes["norm shifts"] = (1, PARTS * p.norm_shift_words, PART_BITS)
    if p.addend_words:
        sizes["kept addends"] = (1, p.addend_words, 2 * word * width)
    return tuple(
        RamShape(name=name, count=count, depth=depth, width=bits, ram=ram)
        for name, (count, depth, bits) in sizes.items()
    )


def weight_ring(p: MachineParameters, ram: BlockRam) -> RamShape:
    """The weights of sweeps, one step to the word."""
    return next(memory for memory in memories(p, ram) if memory.name == WEIGHT_RING)


def image_rom(p: MachineParameters, image_bytes: int, ram: BlockRam) -> RamShape:
    """The Image in block RAM behind the bus."""
    depth, width = ceil_div(image_bytes, p.bus_bytes), 8 * p.bus_bytes
    return RamShape(name="Image", count=1, depth=depth, width=width, ram=ram)
