# SPDX-License-Identifier: Apache-2.0
"""Whether a machine fits a board: block RAM from memory depths, DSP blocks from the array."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hlsgen.boards.board import Board
from hlsgen.errors import DoesNotFit, Problem
from hlsgen.fit.memories import RamShape, image_rom, memories
from hlsgen.machine.format.parameters import MachineParameters, is_power_of_two

_SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a design needs of a board, estimated."""

    board: Board
    dsp: int
    ram_blocks: int
    memories: tuple[RamShape, ...]

    @property
    def usable_dsp(self) -> int:
        return int(self.board.resources.dsp * self.board.usable_dsp)

    @property
    def fits(self) -> bool:
        return self.dsp <= self.usable_dsp and self.ram_blocks <= self.board.resources.ram_blocks

    def __str__(self) -> str:
        have = self.board.resources
        dsp, blocks = f"{self.dsp} of {have.dsp}", f"{self.ram_blocks} of {have.ram_blocks}"
        lines = [f"{self.board.name}: about {dsp} DSP blocks and {blocks} {self.board.family.ram.name}"]
        lines += [
            f"  {item.name}: {item.count} x {item.depth} x {item.width} bits, {item.blocks} RAM blocks"
            for item in self.memories
        ]
        return "\n".join(lines)


def estimate(parameters: MachineParameters, board: Board, image_bytes: int = 0) -> Fit:
    """The blocks that a machine needs; `image_bytes` counts where the board keeps the Image on the chip."""
    p, family = parameters, board.family
    items = memories(p, family.ram)
    if board.image == "on_chip":
        items += (image_rom(p, image_bytes, family.ram),)
    return Fit(
        board=board,
        dsp=family.dsp(p.rows, p.columns, p.depth, p.row_width),
        ram_blocks=sum(item.blocks for item in items),
        memories=items,
    )


def check_fit(parameters: MachineParameters, board: Board, image_bytes: int = 0) -> Fit:
    """The estimate; raises `DoesNotFit` with the numbers and what would fit."""
    fit, have = estimate(parameters, board, image_bytes), board.resources
    problems = [] if fit.dsp <= fit.usable_dsp else [_too_many_blocks(parameters, fit)]
    if fit.ram_blocks > have.ram_blocks:
        largest = sorted(fit.memories, key=lambda item: -item.blocks)[:4]
        problems.append(
            Problem(
                f"the memories must need at most {have.ram_blocks} {board.family.ram.name} on {board.name}, "
                f"not {fit.ram_blocks}",
                why=f"the largest are {', '.join(map(_size, largest))}",
                fix=_memory_fix(largest[0], board),
            )
        )
    if problems:
        raise DoesNotFit(problems)
    return fit


def check_array(board: Board, parameters: MachineParameters) -> None:
    """Raise `DoesNotFit` where the array alone, whatever the model, needs too many DSP blocks."""
    fit = estimate(parameters, board)
    if fit.dsp > fit.usable_dsp:
        raise DoesNotFit(_too_many_blocks(parameters, fit))


def _too_many_blocks(parameters: MachineParameters, fit: Fit) -> Problem:
    board = fit.board
    shape = f"{parameters.rows}x{parameters.columns}x{parameters.depth}"
    arrays = ", ".join("x".join(map(str, array)) for array in fitting_arrays(board, parameters.lanes))
    return Problem(
        f"the {shape} array must need at most {fit.usable_dsp} DSP blocks on {board.name}, not {fit.dsp}",
        why=f"{board.part} has {board.resources.dsp}; above {board.usable_dsp:.0%} they can't be routed well",
        fix=f"choose an array that fits, such as {arrays}",
    )


def fitting_arrays(board: Board, lanes: int, count: int = 3) -> list[tuple[int, int, int]]:
    """The fastest arrays that fit and are no larger than asked for, close to the board's default in shape."""
    usable = int(board.resources.dsp * board.usable_dsp)
    shapes = [
        (rows, columns, depth)
        for rows in range(1, 65)
        for columns in _SIZES
        for depth in _SIZES
        if is_power_of_two(rows) and rows * columns * depth <= lanes
        if board.family.dsp(rows, columns, depth) <= usable
    ]

    def key(shape: tuple[int, int, int]) -> tuple[int, float]:
        distance = sum(abs(a.bit_length() - b.bit_length()) for a, b in zip(shape, board.array, strict=True))
        return -math.prod(shape), distance

    return sorted(shapes, key=key)[:count]


def _size(item: RamShape) -> str:
    return f"{item.name} ({item.blocks} blocks, {item.bits / 8192:.0f} KiB)"


def _memory_fix(largest: RamShape, board: Board) -> str:
    if largest.name == "Image":
        return "use a smaller model, or a board with external memory, such as zcu102 or kv260"
    if largest.name == "weight ring":
        return "give the weight ring a smaller budget, or use a larger board"
    return f"use a smaller array or model: the {largest.name} memory alone takes {largest.blocks} blocks" + (
        ", or a board with external memory" if board.image == "on_chip" else ""
    )
