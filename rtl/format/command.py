# SPDX-License-Identifier: Apache-2.0
"""A command's layout, and the bits of its fields that a machine has."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Value, signed
from amaranth.lib import data

from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS
from hlsgen.machine.format.parameters import MachineParameters

COMMAND_BITS = 8 * COMMAND_BYTES
_SHAPES = {item.name: signed(item.bits) if item.signed else item.bits for item in FIELDS}
COMMAND = data.StructLayout({item.name: _SHAPES[item.name] for item in FIELDS if not item.within})
"""A command's bits."""
NARROWED = data.StructLayout(_SHAPES)
"""All fields, those that lie within others apart."""


def narrowed(p: MachineParameters, payload: Value) -> Any:
    """A command's fields, 0 beyond the bits that the machine has for them."""
    command = data.View(COMMAND, payload[: COMMAND.size])
    kept = (Value.cast(command[item.within or item.name])[: p.field_bits[item.name]] for item in FIELDS)
    return data.View(
        NARROWED,
        Cat(Cat(value, C(0, item.bits - len(value))) for value, item in zip(kept, FIELDS, strict=True)),
    )


def field(p: MachineParameters, *names: str) -> int:
    """Bits that hold any of these fields of a command."""
    return max(1, *(p.field_bits[name] for name in names))
