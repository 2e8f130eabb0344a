# SPDX-License-Identifier: Apache-2.0
"""Orders of tokens: blocks are counted as tiles read them, and the best order has the fewest of all."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.quantization.orders import BLOCK, TILE, block_order, blocks


def _neighbours(height: int, width: int, window: int) -> np.ndarray:
    """Sliding windows of a grid, clamped at its border."""
    lines = []
    for side in (height, width):
        first = np.clip(np.arange(side) - window // 2, 0, side - window)[:, None]
        lines.append((np.arange(side) >= first) & (np.arange(side) < first + window))
    y, x = lines
    return (y[:, None, :, None] & x[None, :, None, :]).reshape(height * width, height * width)


@pytest.mark.parametrize(("tile", "block"), [(TILE, BLOCK), (4, 8), (16, 32)])
def test_blocks_are_those_that_tiles_read(tile: int, block: int) -> None:
    random = np.random.default_rng(2)
    seen, order = random.random((2, 45, 45)) < 0.02, random.permutation(45)
    count = 0
    for head in seen:
        for at in range(0, 45, tile):
            for first in range(0, 45, block):
                queries, keys = order[at : at + tile], order[first : first + block]
                count += any(head[query, key] for query in queries for key in keys)
    assert blocks(seen, order, (tile, block)) == count


def test_sliding_windows_are_read_in_strips() -> None:
    """Counted by hand for 28 x 28 tokens and windows of 7 x 7: 63 % of the blocks of whole lines."""
    seen = _neighbours(28, 28, 7)[None]
    order = block_order(seen)
    assert order is not None
    assert sorted(order) == list(range(784))
    lines = blocks(seen, np.arange(784))
    assert lines == 1146
    assert blocks(seen, order) == 722
    y, x = np.divmod(order, 28)
    assert {(int(y[at : at + 8].max() - y[at]), int(np.ptp(x[at : at + 8]))) for at in range(0, 784, 8)} == {
        (1, 3)
    }


def test_a_picture_that_is_no_square_is_a_grid_too() -> None:
    seen = _neighbours(16, 48, 5)[None]
    order = block_order(seen)
    assert order is not None
    assert blocks(seen, order) < 0.8 * blocks(seen, np.arange(768))


def test_what_tiles_read_well_stays() -> None:
    tokens = np.arange(256)
    causal = tokens[:, None] >= tokens
    apart = (tokens[:, None] // 32 + tokens // 32) % 3 == 0  # whole blocks
    for seen in (causal, apart, np.ones((256, 256), bool)):
        assert block_order(seen[None]) is None
    assert block_order(np.ones((1, 8, 16), bool)) is None
