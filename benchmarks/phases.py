# SPDX-License-Identifier: Apache-2.0
"""Where the cycles of a measured image went, phase by phase, from the trace of its RTL run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.phases import phase_of, steps_of


@dataclass(frozen=True)
class Phase:
    """Cycles in which the phase's commands were the last to drain, and the steps that they issued."""

    name: str
    cycles: int
    multiply: int

    @property
    def lost(self) -> int:
        """Cycles without a step."""
        return self.cycles - self.multiply


def measured_phases(
    program: Program, records: np.ndarray, commands: Sequence[tuple[int, Command]] | None = None
) -> tuple[Phase, ...]:
    """Phases in the order of the model; a command's cycles run from the end of the one before to its own end.

    The first begins at the start register, the last ends with its last result: writing the output is not
    part of any. commands: those that ran, with their numbers, if not all did.
    """
    drained = records[records["which"] == DRAIN]
    found: dict[str, list[int]] = {}
    begin, before = 0, None
    for index, command in commands or tuple(enumerate(program.commands)):
        end = int(drained["cycle"][drained["command"] == index].max())
        phase = found.setdefault(phase_of(command, before), [0, 0])
        phase[0] += end - begin
        phase[1] += steps_of(command)
        begin, before = end, command
    return tuple(Phase(name, cycles, steps) for name, (cycles, steps) in found.items())
