# SPDX-License-Identifier: Apache-2.0
"""What bounds an image's time: multipliers or memory, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.phases import bytes_of, steps_of

COMPUTE, MEMORY = "compute", "memory"


@dataclass(frozen=True)
class Bound:
    """Steps of the array, bytes from outside, and the least cycles that either takes."""

    steps: int
    bytes: int
    bus_bytes: int

    @property
    def cycles(self) -> float:
        """Least cycles: no schedule of these products and bytes takes fewer."""
        return max(self.steps, self.bytes / self.bus_bytes)

    @property
    def kind(self) -> str:
        """Which of the two holds."""
        return MEMORY if self.bytes / self.bus_bytes > self.steps else COMPUTE


def bound_of(commands: Sequence[Command], program: Program) -> Bound:
    """The bound of commands whose weights may come while any of them computes."""
    steps = sum(steps_of(command) for command in commands)
    size = sum(bytes_of(command, program) for command in commands)
    return Bound(steps, size, program.parameters.bus_bytes)


def least_cycles(commands: Sequence[Command], program: Program) -> float:
    """Least cycles of commands in order, where experts are known to be used only once tokens are routed.

    So an expert's weights can't come during the attention before it, nor what follows be computed before
    they have come: a layer's experts have a bound of their own, and so has what lies between two of them.
    """
    parts = groupby(commands, key=lambda command: bool(command.expert))
    return sum(bound_of(tuple(part), program).cycles for _, part in parts)
