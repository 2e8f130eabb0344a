# SPDX-License-Identifier: Apache-2.0
"""Random commands of windows: attention whose heads have rows of their own, keys and values by windows."""

from __future__ import annotations

from typing import Any

from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.machine.format.parameters import ceil_div

WINDOWS = {"windows": 1, "addend_words": 24, "score_slots": 3, "tile_slots": 4}
"""More parameters of a machine, for windows."""


def own_rows(
    drawn: Any, heads: int, words: int, wide: int, rows: int, blocks: int, *, half: int
) -> dict[str, Any]:
    """Fields of attention: each head has so many rows; perhaps the addends of all are those of the first one.

    half: words of the feature memory for operands, and for results.
    """
    p, before = drawn.p, drawn.number(0, 1) if drawn.p.operand_bases else 0
    spare = (half - heads * rows * (before + words)) // (heads * rows)
    stride = before + words + drawn.number(0, spare)
    groups = sum(p.row_groups(min(p.rows, rows - first)) for first in range(0, rows, p.rows)) * blocks
    keeps = 2 <= groups <= p.addend_words and drawn.chance(0.7)
    return {
        "source": 0, "source_stride": stride, "outer_source": rows * stride, "list_base": 0,
        "piece_words": 0, "source_word": before, "target_word": before, "target_stride": before + wide,
        "outer_target": rows * (before + wide), "score_addends": 1, "kept_addends": int(keeps),
    }  # fmt: skip


def into_windows(drawn: Any) -> None:
    """Add a command of keys or values that begin in a word of their own with each window."""
    p, common = drawn.p, {"drain": Drain.ADD, "stream_addend": 1, "low": -60, "high": 60}
    target = (Target.KEYS, Target.VALUES)[drawn.number(0, 1)]
    window, count = p.row_width * drawn.number(1, 5), drawn.number(1, 3)
    rows = drawn.load(Load.ROWS, drawn.granule, 1, window * count)
    steps = ceil_div(drawn.granule * p.columns, p.depth)
    fields = rows | {"target": target, "head_words": 1, "window_rows": window, "k_steps": steps}
    drawn.add(window * count, **fields, **common)
