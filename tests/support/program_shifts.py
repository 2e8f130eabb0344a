# SPDX-License-Identifier: Apache-2.0
"""Norm shifts of random Programs."""

from __future__ import annotations

from typing import Any

from hlsgen.machine.format.norm_shifts import WORD_ELEMENTS, pack_shifts
from hlsgen.machine.format.parameters import ceil_div


def shift_fields(drawn: Any, width: int) -> dict[str, int]:
    """Most rows have shifts; some norms share theirs, or begin in the middle of those of others."""
    words = drawn.p.norm_shift_words - ceil_div(width, WORD_ELEMENTS)
    if words < 0 or drawn.chance(0.25):
        return {}
    return {"norm_shift_base": 1 + drawn.number(0, words)}


def drawn_shifts(drawn: Any) -> bytes:
    """Of the whole memory."""
    return pack_shifts(drawn.random.integers(0, 8, WORD_ELEMENTS * drawn.p.norm_shift_words))
