# SPDX-License-Identifier: Apache-2.0
"""How long the accelerator may take: the watchdog, and the limit on a whole image."""

from __future__ import annotations

from hlsgen.machine.format.interface import Register

WATCHDOG_CYCLES = Register.WATCHDOG.reset
"""Cycles without progress that end an image, unless the host says otherwise."""
LIMIT_FACTOR = 64
"""An image may take so many times its predicted cycles: so much slower than the model's may a memory be."""
MOST_CYCLES = (1 << 32) - 1


def cycle_limit(predicted: int, watchdog: int = WATCHDOG_CYCLES) -> int:
    """The value of the register `limit`: cycles after which an image ends with an error.

    One stall that the watchdog bears fits in beside the factor. Never 0, which stands for 2**32 cycles.
    """
    return min(LIMIT_FACTOR * predicted + watchdog, MOST_CYCLES)
