# SPDX-License-Identifier: Apache-2.0
"""The weight ring: a sweep's weights stay while its tiles pass."""

from __future__ import annotations

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.streams import weight_parts
from hlsgen.rtl.parts.queues import Ring


def weight_ring(p: MachineParameters, *, short: bool = False, near: bool = False) -> Ring:
    """Ring of steps: byte d*C + c multiplies operand element d for column c; its halves may, in two steps."""
    return Ring(
        8 * p.columns * p.depth,
        p.ring_words,
        short=short,
        parts=weight_parts(p, near),
        stays=bool(p.narrow_weights),
    )
