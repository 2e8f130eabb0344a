# SPDX-License-Identifier: Apache-2.0
"""Random commands of attention whose tiles have keys of their own, anywhere in the memories."""

from __future__ import annotations

from typing import Any

import numpy as np

from hlsgen.machine.format.key_runs import key_unit
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.format.runs import PLACE_BITS

KEY_LISTS = {"key_list_words": 120}
"""More parameters of a machine, for key lists."""


def own_keys(drawn: Any, fields: dict[str, Any], rows: int) -> dict[str, Any]:
    """Fields of attention on so many rows, whose tiles get lists; none where one has no room."""
    p, unit = drawn.p, key_unit(drawn.p)
    sides = unit // p.columns, unit // p.depth
    most = min(p.score_words // sides[0], p.tile_words * p.columns // unit)
    if not most:
        return {}
    units, tiles = drawn.number(1, most), ceil_div(rows, p.rows)
    runs, base = drawn.number(1, units), len(drawn.key_lists) // 8
    if base + tiles * runs > p.key_list_words:
        return {}
    words = drawn.granule, fields["head_words"]
    strides = [drawn.granule * drawn.number(0, 1), drawn.number(0, 2)]
    behind = [stride * (fields["heads"] - 1) for stride in strides]
    memories, found = (p.key_words, p.value_words), []
    for _ in range(tiles):
        cuts = np.sort(drawn.random.choice(np.arange(1, units), runs - 1, replace=False))
        for count in np.diff([0, *cuts, units]):
            for which, memory in enumerate(memories):
                blocks = int(count) * sides[which]
                place = drawn.number(0, memory - behind[which] - blocks * words[which])
                place -= 0 if which else place % drawn.granule  # whole steps of keys
                found.append((blocks - 1) << PLACE_BITS | place)
    drawn.key_lists += np.array(found, "<u4").tobytes()
    steps = units * sides[1]
    return {
        "key_runs": runs, "key_base": base, "value_base": 0, "head_stride": strides[0],
        "value_stride": strides[1], "blocks": units * sides[0], "exp_steps": steps,
        "exp_words": ceil_div(steps * p.depth, p.columns), "keys": units * unit - drawn.number(0, unit - 1),
    }  # fmt: skip
