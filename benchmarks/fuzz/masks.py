# SPDX-License-Identifier: Apache-2.0
"""Random masks of attention: which keys queries see."""

from __future__ import annotations

import numpy as np

from benchmarks.fuzz.draw import Draw


def draw_mask(draw: Draw, heads: int, queries: int, keys: int) -> np.ndarray:
    """[heads, queries, keys], true where a query sees a key.

    Any keys, one row with none or all; keys up to the query's own; a band; and, for as many queries as
    keys, groups that don't see one another, side by side or spread, perhaps with hidden keys inside; the own
    group and every second, third or fourth part, perhaps another one for each head.
    """
    shape = (heads, queries, keys)
    row, key = np.arange(queries)[:, None], np.arange(keys)
    some = draw.reals(0, 1, heads * queries * keys).reshape(shape) < draw.pick(0.1, 0.5, 0.9)
    some[:, draw.integer(0, queries - 1)] = draw.chance(0.5)
    if queries != keys:
        return draw.pick(some, np.broadcast_to(abs(row - key) <= draw.integer(0, 3), shape))
    size = draw.pick(*(size for size in range(1, keys + 1) if keys % size == 0))
    count = keys // size
    group = draw.pick(np.arange(keys) // size, np.arange(keys) % count)
    same = np.broadcast_to(group[:, None] == group, shape)
    band = np.broadcast_to(abs(row - key) <= draw.integer(0, 3), shape)
    causal = np.broadcast_to(key <= row, shape)
    head = np.arange(heads)[:, None, None] * draw.integer(0, 1)
    far = same | ((key // size + head) % draw.integer(2, 4) == 0)
    return draw.pick(some, same, same & some, same & causal, causal, band, far, far & causal)
