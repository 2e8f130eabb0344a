# SPDX-License-Identifier: Apache-2.0
"""Whether a machine fits a board: block RAM from memory depths, DSP blocks from the array."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hlsgen.boards.board import Board
from hlsgen.errors import DoesNotFit, Problem
from hlsgen.fit.memories import RamShape, image_rom, memories
from hlsgen.machine.format.parameters import ECP5_BLOCKS, MachineParameters, ceil_div, is_power_of_two

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
        lines = [f"{self.board.name}: about {dsp} DSP blocks and {blocks} RAM blocks of 18 kbit"]
        lines += [
            f"  {item.name}: {item.count} x {item.depth} x {item.width} bits, {item.blocks} RAM blocks"
            for item in self.memories
        ]
        return "\n".join(lines)


def array_dsp(rows: int, columns: int, depth: int, family: str = "ecp5") -> int:
    """DSP blocks of the array: a DSP48E2 for two rows, an ECP5 block for two columns; one for a product else.

    See `hlsgen.rtl.array.packed` and `hlsgen.rtl.array.packed_ecp5`.
    """
    rows = ceil_div(rows, 2) if family == "zynqmp" else rows
    columns = ceil_div(columns, 2) if family == "ecp5" else columns
    return rows * columns * depth


def stage_dsp(columns: int, family: str, array: int, row_width: int = 1) -> int:
    """DSP blocks of LOAD and DRAIN: two to requantize and three to normalise a column, three for the row.

    On the ECP5 they take only what the blocks of the array leave, the rest is made of logic.
    """
    wanted = row_width * (3 + 5 * columns)
    return min(wanted, max(0, ECP5_BLOCKS - array)) if family == "ecp5" else wanted


def estimate(parameters: MachineParameters, board: Board, image_bytes: int = 0) -> Fit:
    """The blocks that a machine needs; `image_bytes` counts where the board keeps the Image on the chip."""
    items = list(memories(parameters))
    array = array_dsp(parameters.rows, parameters.columns, parameters.depth, board.family)
    if board.image == "on_chip":
        items.append(image_rom(parameters, image_bytes))
    return Fit(
        board=board,
        dsp=array + stage_dsp(parameters.columns, board.family, array, parameters.row_width),
        ram_blocks=sum(item.blocks for item in items),
        memories=tuple(items),
    )


def check_fit(parameters: MachineParameters, board: Board, image_bytes: int = 0) -> Fit:
    """The estimate; raises `DoesNotFit` with the numbers and what would fit."""
    fit, have = estimate(parameters, board, image_bytes), board.resources
    problems = [] if fit.dsp <= fit.usable_dsp else [_too_many_blocks(parameters, fit)]
    if fit.ram_blocks > have.ram_blocks:
        largest = sorted(fit.memories, key=lambda item: -item.blocks)[:4]
        problems.append(
            Problem(
                f"the memories must need at most {have.ram_blocks} RAM blocks of 18 kbit on {board.name}, "
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

    def fits(rows: int, columns: int, depth: int) -> bool:
        array = array_dsp(rows, columns, depth, board.family)
        return array + stage_dsp(columns, board.family, array) <= usable

    shapes = [
        (rows, columns, depth)
        for rows in range(1, 65)
        for columns in _SIZES
        for depth in _SIZES
        if is_power_of_two(rows) and rows * columns * depth <= lanes and fits(rows, columns, depth)
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
