# SPDX-License-Identifier: Apache-2.0
"""Which order of tokens lets tiles of queries read the fewest blocks of keys: strips and patches of a grid.

A machine reads keys in whole blocks, for tiles of queries. Tokens of a picture stand line by line, so a tile
is a line's part, and a neighbourhood of it has a bit of each of many lines. In strips a few tokens wide a
tile, and a block, is a patch: the same neighbourhood has fewer blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

TILE, BLOCK = 8, 16
"""Queries of a tile and keys of a block that orders are compared with: the arrays of most boards."""
SIDES = (2, 4, 8, 16)
"""Tokens across a strip, and along each side of a patch."""
LEAST_SAVING = 8
"""Another order saves at least one of so many blocks: rows in another order are read one by one."""
FULL = 0.7
"""Where queries see so much of what their tiles read no order is looked for."""
MOST_TOKENS = 4096
"""Tokens of a mask whose orders are compared."""


def block_order(seen: np.ndarray) -> np.ndarray | None:
    """Tokens [T] in the order of the fewest blocks; None: as they stand, or queries are others than keys.

    seen [heads, T, T]: which keys a query sees.
    """
    _, queries, keys = seen.shape
    if queries != keys or queries > MOST_TOKENS:
        return None
    heads = (
        np.unique(seen.reshape(len(seen), -1), axis=0).reshape(-1, queries, keys) if len(seen) > 1 else seen
    )
    count = blocks(heads, np.arange(queries))
    if heads.sum() >= FULL * count * TILE * BLOCK:
        return None
    best, least = None, count - count / LEAST_SAVING
    for order in candidates(queries):
        found = blocks(heads, order)
        if found < least:
            best, least = order, found
    return best


def blocks(seen: np.ndarray, order: np.ndarray, size: tuple[int, int] = (TILE, BLOCK)) -> int:
    """Blocks of keys that tiles of queries read, both in an order of tokens; of all heads."""
    (tile, block), heads, tokens = size, len(seen), len(order)
    tiles, units = -(-tokens // tile), -(-tokens // block)
    whole = np.zeros((heads, tiles * tile, units * block), bool)
    whole[:, :tokens, :tokens] = seen[:, order[:, None], order]
    return int(np.any(whole.reshape(heads, tiles, tile, units, block), axis=(2, 4)).sum())


def candidates(tokens: int) -> Iterator[np.ndarray]:
    """Strips and patches of all grids of so many tokens; no side is beyond four times the other one."""
    for height in range(2, tokens // 2 + 1):
        width = tokens // height
        if height * width != tokens or max(height, width) > 4 * min(height, width):
            continue
        y, x = np.divmod(np.arange(tokens), width)
        for side in SIDES:
            if side < width:
                yield np.lexsort((x % side, y, x // side))
            if side < height:
                yield np.lexsort((y % side, x, y // side))
            if side < min(width, height):
                yield np.lexsort((x % side, y % side, x // side, y // side))
