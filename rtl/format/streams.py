# SPDX-License-Identifier: Apache-2.0
"""Layouts of the streams between the bus and the stages: sections, weights, constants."""

from __future__ import annotations

from amaranth import signed
from amaranth.lib import data

from hlsgen.machine.format.commands import FIELD_BITS
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.numerics import BIAS_BITS, MULTIPLIER_BITS, SHIFT_BITS
from hlsgen.rtl.parts.axi import ADDRESS_BITS

UNIT_BITS = SECTION_ALIGN.bit_length() - 1
"""Addresses and lengths count units of 64 bytes: everything in external memory is aligned to them."""
ADDRESS_UNITS = ADDRESS_BITS - UNIT_BITS
LENGTH_UNITS = 32 - UNIT_BITS + 1


def segment() -> data.StructLayout:
    """A section's words, and all that it takes with its padding, in units of 64 bytes."""
    return data.StructLayout({"words": FIELD_BITS["weight_words"], "units": FIELD_BITS["weight_units"]})


def constant_word() -> data.StructLayout:
    """A column's record of the constant stream."""
    fields = {"bias": signed(BIAS_BITS), "multiplier": MULTIPLIER_BITS, "shift": SHIFT_BITS}
    return data.StructLayout(fields)


def weight_parts(p: MachineParameters, near: bool = False) -> int:
    """Parts in which a step's weights come: beats, where the memory is on the chip and nothing is skipped.

    Elsewhere beats are gathered in front of the core, which costs a register as wide as a step.
    """
    return 1 if p.planned or not near else max(1, p.columns * p.depth // p.bus_bytes)
