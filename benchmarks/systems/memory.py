# SPDX-License-Identifier: Apache-2.0
"""What a model's machine takes of RAM, and which Zynq UltraScale+ device has so much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hlsgen.boards.families import ZYNQMP, BlockRam
from hlsgen.fit.memories import RamShape, memories
from hlsgen.machine.format.parameters import MachineParameters

ULTRA = BlockRam(shapes=((4096, 72),), lut_cells=0)
"""A block of 288 kbit; it has no other forms."""
_WORTH = 10
"""A memory goes to UltraRAM where each block of it takes the place of so many of 18 kbit."""


@dataclass(frozen=True)
class Device:
    """Blocks of 18 kbit and of UltraRAM."""

    name: str
    blocks: int
    ultra: int


DEVICES = (
    Device("ZU5 (KV260)", 288, 64),
    Device("ZU7 (ZCU104, ZCU106)", 624, 96),
    Device("ZU11", 1200, 80),
    Device("ZU15", 1488, 112),
    Device("ZU17", 1592, 102),
    Device("ZU9 (ZCU102)", 1824, 0),
    Device("ZU19", 1968, 128),
    Device("ZU28DR (ZCU111)", 2160, 80),
)
"""AMD's data sheets DS891 and DS889, which count blocks of 36 kbit; fewest blocks of 18 kbit first."""


def ultra(memory: RamShape) -> int:
    """UltraRAM blocks of a memory."""
    return memory.count * ULTRA.blocks(memory.depth, memory.width)


def spread(found: Sequence[RamShape], device: Device) -> tuple[int, int]:
    """Blocks of 18 kbit and of UltraRAM that memories take on a device: the best exchanges first."""
    blocks, left = sum(each.blocks for each in found), device.ultra
    for each in sorted(found, key=lambda each: -each.blocks / ultra(each)):
        if each.blocks >= _WORTH * ultra(each) and ultra(each) <= left:
            blocks, left = blocks - each.blocks, left - ultra(each)
    return blocks, device.ultra - left


def of(parameters: MachineParameters) -> list[RamShape]:
    """Memories that take blocks, the largest first."""
    found = [each for each in memories(parameters, ZYNQMP.ram) if each.blocks]
    return sorted(found, key=lambda each: -each.blocks)


def rows(found: Sequence[RamShape]) -> Iterator[str]:
    """A row for each memory, and their sum."""
    for each in found:
        shape = f"{each.count} x {each.depth:,} x {each.width}"
        yield f"| {each.name} | {shape} | {each.blocks:,} | {ultra(each)} |"
    size, blocks = sum(each.bits for each in found) / 8e6, sum(each.blocks for each in found)
    yield f"| together | {size:.2f} MB | {blocks:,} | |"


def devices(found: Sequence[RamShape]) -> Iterator[str]:
    """A row for each device."""
    for device in DEVICES:
        blocks, taken = spread(found, device)
        fits = "yes" if blocks <= device.blocks else "no"
        yield f"| {device.name} | {blocks:,} of {device.blocks:,} | {taken} of {device.ultra} | {fits} |"
