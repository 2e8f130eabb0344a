# SPDX-License-Identifier: Apache-2.0
"""How the array multiplies on each kind of device, and how many multiplier blocks that takes."""

from __future__ import annotations

from hlsgen.machine.format.parameters import ceil_div

PLAIN, BLOCKS, PAIRED_ROWS, PAIRED_COLUMNS = "plain", "ecp5", "xilinx_packed", "ecp5_packed"
"""Styles of the array: the `*` operator, a block a product, a block for two rows, a block for two columns."""


def array_style(rows: int, columns: int, target: str) -> str:
    """The array's style on a target: blocks that do two products where there are two to do."""
    match target:
        case "generic":
            return PLAIN
        case "xilinx":
            return PAIRED_ROWS if rows > 1 else PLAIN
        case "ecp5":
            return PAIRED_COLUMNS if columns > 1 else BLOCKS
        case _:
            raise ValueError(f"target must be generic, xilinx or ecp5, not {target!r}")


def array_blocks(rows: int, columns: int, depth: int, target: str) -> int:
    """Multiplier blocks of the array: one a product, or one for two rows or two columns of them."""
    style = array_style(rows, columns, target)
    rows = ceil_div(rows, 2) if style == PAIRED_ROWS else rows
    columns = ceil_div(columns, 2) if style == PAIRED_COLUMNS else columns
    return rows * columns * depth
