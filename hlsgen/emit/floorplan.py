"""Sites of an ECP5 design's multiplier blocks.

An ECP5 has its multiplier blocks in a few rows across the whole chip, thirteen groups of four in each row of
an LFE5U-85F. nextpnr's placers spread the blocks of one sum over several rows, and the wires from them to
their adders then fight for the few long tracks along those rows. Blocks whose products are added together
belong side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hlsgen.boards import Board
from hlsgen.machine.parameters import ceil_div

OFFSETS = (0, 1, 4, 5)
"""X of the four blocks of a group, from the group's own on; also their numbers in nextpnr's names."""


def place_blocks(board: Board, sums: Sequence[Sequence[str]]) -> Mapping[str, str]:
    """Block to site, in nextpnr's names.

    Parameters
    ----------
    board
        Its `multiplier_columns` and `multiplier_rows` are the sites there are.
    sums
        The blocks whose products are added together, all sums of one size; sums that follow each other lie
        side by side.

    Takes as few rows of the chip as will do, the same number of sums in each, in the middle of the row. Empty
    where the sites are not known, or too few for whole sums in rows: the blocks are then for the placer.
    """
    sites = [(x + offset, offset) for x in sorted(board.multiplier_columns) for offset in OFFSETS]
    size = max(map(len, sums), default=0)
    in_row = len(sites) // size if size else 0
    rows = ceil_div(len(sums), in_row) if in_row else 0
    if not 0 < rows <= len(board.multiplier_rows):
        return {}
    in_row = ceil_div(len(sums), rows)
    first = (len(sites) - in_row * size) // 2
    placed = {}
    for row, y in enumerate(board.multiplier_rows[:rows]):
        blocks = [block for each in sums[row * in_row : (row + 1) * in_row] for block in each]
        for block, (x, number) in zip(blocks, sites[first:], strict=False):
            placed[block] = f"X{x}/Y{y}/MULT18_{number}"
    return placed
