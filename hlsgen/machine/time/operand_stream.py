# SPDX-License-Identifier: Apache-2.0
"""Streamed attention in the cycle model: when a head's keys and values are back in the machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.format.program import Program
from hlsgen.machine.modes.table import PRODUCTS
from hlsgen.machine.time.bus import Bus, Channel, beats_of


def section_bytes(command: Command) -> int:
    """Bytes of a head's keys, or of its values."""
    return command.head_units * SECTION_ALIGN


def operand_bytes(program: Program) -> int:
    """What attention reads of keys and values for one image."""
    attention, p = PRODUCTS[Product.ATTENTION], program.parameters
    return sum(attention.traffic(p, c) for c in program.commands if c.product is Product.ATTENTION)


def operand_channel(program: Program, buffer: int) -> Channel:
    """The read channel with a `buffer` of beats; the key and value memories, two heads each, are its ring."""
    p = program.parameters
    sections = [section_bytes(c) for c in program.commands if c.product is Product.ATTENTION]
    ring = 4 * beats_of(max(sections, default=0), p.bus_bytes)
    return Channel(beats_of(operand_bytes(program), p.bus_bytes), buffer, ring, gates=[])


@dataclass
class OperandStream:
    """The sections (keys, then values, of one reading after another) of all commands.

    Parameters
    ----------
    parameters
        The machine's shape.
    bus
        With the channel `operands`.
    late
        Cycles from a beat to its word.
    """

    parameters: MachineParameters
    bus: Bus
    late: int
    ends: list[int] = field(default_factory=list)
    """Beats in all after each section."""
    filled: list[int] = field(default_factory=list)
    freed: dict[int, int] = field(default_factory=dict)
    _begin: int = 0
    _words: int = 0
    _prefix: int = 0
    _prefix_time: int = 0

    def __post_init__(self) -> None:
        if "operands" in self.bus.channels:
            self.bus.channels["operands"].stops = self.ends

    def open(self, command: Command, written: int) -> None:
        """A command's sections may be asked for once everything before was `written`."""
        self._begin = len(self.ends)
        size = beats_of(section_bytes(command), self.parameters.bus_bytes)
        for _ in range(2 * command.heads * command.readings):
            self.ends.append((self.ends[-1] if self.ends else 0) + size)
        self._words = section_bytes(command) // (self.parameters.columns * self.parameters.row_width)
        gates = self.bus.channels["operands"].gates
        if gates is not None:
            gates.append((self.ends[-1], written))

    def there(self, reading: int, values: bool) -> int:
        """When a reading's keys or values are complete."""
        wanted = self._begin + 2 * reading + values
        while len(self.filled) <= wanted:
            index = len(self.filled)
            previous = self.filled[-1] if self.filled else 0
            room = self.freed.get(index - 4, 0) if index - 4 >= self._begin else 0
            first = self.ends[index - 1] + 1 if index else 1
            came = self.bus.arrival("operands", first) + self.late
            last = self.bus.arrival("operands", self.ends[index]) + self.late
            start = max(previous, room, math.ceil(came))
            self.filled.append(max(start + self._words, math.ceil(last)))
        return self.filled[wanted]

    def free(self, reading: int, values: bool, time: int) -> None:
        """Its last tile has passed."""
        self.freed[self._begin + 2 * reading + values] = time
        while self._prefix in self.freed:
            self._prefix_time = max(self._prefix_time, self.freed[self._prefix])
            self.bus.channels["operands"].free(self._prefix_time, self.ends[self._prefix])
            self._prefix += 1
