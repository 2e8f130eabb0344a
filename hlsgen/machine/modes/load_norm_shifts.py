# SPDX-License-Identifier: Apache-2.0
"""The powers of two that the elements of a normalised row have of their own."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.norm_shifts import WORD_ELEMENTS
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import Unit

NORM_SHIFTS = Unit(
    name="load_norm_shifts", cpp="load_norm_shifts", rtl="load/normalise", reads=("norm_shift_base",)
)


def shifts_of(m: Memories, command: Command, width: int) -> np.ndarray:
    """The shifts of a row's elements, [width]."""
    if not command.norm_shift_base:
        return np.zeros(width, np.int64)
    first = (command.norm_shift_base - 1) * WORD_ELEMENTS
    return m.norm_shifts[first : first + width]


def shift_setting(command: Command) -> tuple[int, ...]:
    """What the layer norm pipeline must be set to for them."""
    return (command.norm_shift_base,)
