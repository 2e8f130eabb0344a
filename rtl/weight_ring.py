# SPDX-License-Identifier: Apache-2.0
"""The weight ring: a group's weights stay while its tiles pass."""

from __future__ import annotations

from hlsgen.machine.parameters import MachineParameters
from hlsgen.rtl.queues import Ring


def weight_parts(p: MachineParameters, near: bool = False) -> int:
    """Parts in which a step's weights come: beats, where the memory is on the chip and nothing is skipped.

    Elsewhere beats are gathered in front of the core, which costs a register as wide as a step.
    """
    return 1 if p.planned or not near else max(1, p.columns * p.depth // p.bus_bytes)


def weight_ring(p: MachineParameters, *, short: bool = False, near: bool = False) -> Ring:
    """Ring of steps: byte d*C + c multiplies operand element d for column c."""
    return Ring(8 * p.columns * p.depth, p.ring_words, short=short, parts=weight_parts(p, near))
