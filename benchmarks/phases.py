"""Where the cycles of a measured image went, phase by phase, from the trace of its RTL run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.machine import trace
from hlsgen.machine.commands import Command, Drain, Load, Product, Target
from hlsgen.machine.program import Program


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


def phase_of(command: Command, before: Command | None) -> str:
    """The part of a transformer that a command belongs to; `before` is the one it follows."""
    if command.load is Load.PATCHES:
        return "patch embedding"
    if command.product is Product.ATTENTION:
        return "attention"
    if command.target is Target.OUTPUT or command.last:
        return "head"
    if command.drain is Drain.ACTIVATION:
        return "MLP 1"
    if command.drain is Drain.ADD:
        return "MLP 2" if before is not None and before.drain is Drain.ACTIVATION else "projection"
    return "Q, K, V"


def steps_of(command: Command) -> int:
    """Steps that MULTIPLY issues for a command."""
    if command.product is Product.ATTENTION:
        each = command.blocks * command.k_steps + command.head_words * command.exp_steps
        return command.heads * command.tiles * each
    return command.total_blocks * command.tiles * command.k_steps


def measured_phases(program: Program, records: np.ndarray) -> tuple[Phase, ...]:
    """Phases in the order of the model; a command's cycles run from the end of the one before to its own end.

    The first begins at the start register, the last ends with its last result: writing the output is not
    part of any.
    """
    drained = records[records["which"] == trace.DRAIN]
    found: dict[str, list[int]] = {}
    begin, before = 0, None
    for index, command in enumerate(program.commands):
        end = int(drained["cycle"][drained["command"] == index].max())
        phase = found.setdefault(phase_of(command, before), [0, 0])
        phase[0] += end - begin
        phase[1] += steps_of(command)
        begin, before = end, command
    return tuple(Phase(name, cycles, steps) for name, (cycles, steps) in found.items())
