# SPDX-License-Identifier: Apache-2.0
"""Sites of an ECP5 design's blocks: multipliers of the array, and the memory that its weights come from.

An ECP5 has its multipliers and RAM blocks in a few rows across the whole chip, thirteen groups of four in
each row of an LFE5U-85F. nextpnr's placers spread the multipliers of one sum over several rows, and the wires
from them to their adders then fight for the few long tracks along those rows. Blocks whose products are added
together belong side by side; and what feeds all of them belongs in the middle, or its wires run one way only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hlsgen.boards import Board
from hlsgen.machine.format.parameters import ceil_div

MULTIPLIER_OFFSETS = (0, 1, 4, 5)
"""X of the four multipliers of a group, from the group's own on; also their numbers in nextpnr's names."""
RAM_OFFSETS = (0, 2, 4, 6)
"""The same for RAM blocks, which nextpnr numbers from 0 to 3."""


def place_multipliers(board: Board, sums: Sequence[Sequence[str]]) -> Mapping[str, str]:
    """Multiplier block to site, in nextpnr's names.

    Parameters
    ----------
    board
        Its `block_columns` and `multiplier_rows` are the sites there are.
    sums
        The blocks whose products are added together, all sums of one size; sums that follow each other lie
        side by side.

    Takes as few rows of the chip as will do, the same number of sums in each, in the middle of the row. Empty
    where the sites are not known, or too few for whole sums in rows: the blocks are then for the placer.
    """
    sites = [(x + offset, offset) for x in sorted(board.block_columns) for offset in MULTIPLIER_OFFSETS]
    size = max(map(len, sums), default=0)
    in_row = len(sites) // size if size else 0
    rows = ceil_div(len(sums), in_row) if in_row else 0
    if not 0 < rows <= len(board.multiplier_rows):
        return {}
    in_row = ceil_div(len(sums), rows)
    placed = {}
    for row, y in enumerate(board.multiplier_rows[:rows]):
        blocks = [block for each in sums[row * in_row : (row + 1) * in_row] for block in each]
        for block, (x, number) in zip(blocks, sites[_first(sites, in_row * size) :], strict=False):
            placed[block] = f"X{x}/Y{y}/MULT18_{number}"
    return placed


def place_rams(board: Board, blocks: Sequence[str]) -> Mapping[str, str]:
    """RAM block to site, in nextpnr's names: the middle of the first of the board's `ram_rows`.

    Empty where the sites are not known or a row has too few.
    """
    columns = sorted(board.block_columns)
    sites = [(x + offset, number) for x in columns for number, offset in enumerate(RAM_OFFSETS)]
    if not board.ram_rows or len(blocks) > len(sites):
        return {}
    places = zip(blocks, sites[_first(sites, len(blocks)) :], strict=False)
    return {block: f"X{x}/Y{board.ram_rows[0]}/EBR{number}" for block, (x, number) in places}


def _first(sites: Sequence[object], taken: int) -> int:
    return (len(sites) - taken) // 2
