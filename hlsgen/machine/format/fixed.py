# SPDX-License-Identifier: Apache-2.0
"""A machine whose Image never changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.machine.format.commands import used_bits
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import Program


@dataclass(frozen=True, kw_only=True)
class FixedMachine(MachineParameters):
    """The parameters of a program's machine, and no more bits for a command's fields than the program needs.

    Registers, queues and counters of commands and jobs become narrower; what no command asks for is left out.
    The build id stays that of the parameters.
    """

    narrow: tuple[tuple[str, int], ...]
    """Field and bits; 0 where no command sets it."""
    commands: int

    @property
    def field_bits(self) -> Mapping[str, int]:
        return dict(self.narrow)

    @property
    def pools(self) -> bool:
        return self.field_bits["pool_rows"] > 0

    @property
    def command_count_bits(self) -> int:
        return self.commands.bit_length()


def fixed_machine(program: Program) -> MachineParameters:
    """What to make the hardware from when it runs this program only, with the Image in the chip.

    Where commands change in the machine (`MachineParameters.planned`) these are the program's parameters.
    """
    own = program.parameters
    if own.planned:
        return own
    fields = {item.name: getattr(own, item.name) for item in dataclasses.fields(MachineParameters)}
    narrow = tuple(used_bits(program.commands).items())
    return FixedMachine(**fields, narrow=narrow, commands=len(program.commands))
