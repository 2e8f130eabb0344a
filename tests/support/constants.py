# SPDX-License-Identifier: Apache-2.0
"""Constants at the ends of their fields."""

from __future__ import annotations

import numpy as np

ENDS = (
    (-(1 << 18), -1, 0, 1, (1 << 18) - 1, -0x15555, 0x2AAAA),
    (0, 1, 1 << 13, 1 << 14, (1 << 15) - 1, 0x5555, 0x2AAA),
    (0, 1, 15, 31, 32, 46, 63),
)


def extremes(blocks: int, columns: int) -> np.ndarray:
    """Bias, multiplier and shift [3, blocks, C], each at its smallest, largest and in between."""
    random = np.random.default_rng(blocks * 100 + columns)
    fields = np.stack([random.choice(values, (blocks, columns)) for values in ENDS])
    fields[:, 0, 0] = [values[-3] if index == 2 else values[4] for index, values in enumerate(ENDS)]
    fields[:, -1, -1] = [ENDS[0][0], ENDS[1][4], ENDS[2][6]]
    return fields
