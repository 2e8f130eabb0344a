# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.systems.orders`: what the order of tokens that the quantizer chooses costs an array.

It compares orders for tiles of 8 queries and blocks of 16 keys. For tiles and blocks of other sizes another
order may read fewer blocks: a figure is the blocks of the chosen order over those of the best one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from benchmarks.systems.blocks import Neighbors
from hlsgen.quantization.orders import BLOCK, TILE, block_order, blocks, candidates

SIZES = ((4, 8), (8, 8), (8, 16), (16, 16), (16, 32))
"""Rows and columns of arrays."""
MASKS = {
    "14 x 14, windows of 7": (14, 7, 1),
    "28 x 28, windows of 7": (28, 7, 1),
    "28 x 28, windows of 13": (28, 13, 1),
    "28 x 28, windows of 8, stride 2": (28, 8, 2),
    "32 x 32, windows of 8, stride 4": (32, 8, 4),
    "56 x 56, windows of 7": (56, 7, 1),
}
"""Side of the grid, window, stride of neighbourhoods."""


def seen(side: int, window: int, stride: int) -> np.ndarray:
    """Which keys a query sees, [1, T, T]."""
    table = Neighbors(8, 1, side, window, stride).table.numpy()
    found = np.zeros((1, side * side, side * side), bool)
    np.put_along_axis(found[0], table, True, 1)
    return found


def costs(mask: np.ndarray) -> list[float]:
    """For each size: blocks of the chosen order over the fewest of all."""
    tokens = mask.shape[-1]
    raster = np.arange(tokens)
    found = block_order(mask)
    chosen = raster if found is None else found
    orders = [raster, *candidates(tokens)]
    return [blocks(mask, chosen, size) / min(blocks(mask, order, size) for order in orders) for size in SIZES]


def rows() -> Iterator[str]:
    """A line for each mask."""
    yield " " * 34 + "".join(f"{rows}x{columns}".rjust(8) for rows, columns in SIZES)
    for name, mask in MASKS.items():
        yield name.ljust(34) + "".join(f"{cost:8.2f}" for cost in costs(seen(*mask)))


if __name__ == "__main__":
    assert (TILE, BLOCK) in SIZES
    for row in rows():
        print(row, flush=True)
    sys.exit(0)
