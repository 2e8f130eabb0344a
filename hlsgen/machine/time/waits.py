# SPDX-License-Identifier: Apache-2.0
"""What MULTIPLY does in each cycle of an image, in the cycle model: it computes, or waits, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.cycles import Prediction


@dataclass(frozen=True)
class Waits:
    """Cycles of an image. Those outside the array's steps are the time in which MULTIPLY waits.

    array: a step is issued. drain: a block's steps are fewer than the groups of rows that DRAIN takes from
    it. memory: weights, constants, addends or room for results. load: the rows of a tile, from LOAD or from
    the command before. operands: keys and values. ends: before the first step and behind the last.
    """

    array: int = 0
    drain: int = 0
    memory: int = 0
    load: int = 0
    operands: int = 0
    ends: int = 0

    def plus(self, other: Waits, times: int = 1) -> Waits:
        """These, and others so many times."""
        return Waits(*(mine + times * more for mine, more in zip(self.all(), other.all(), strict=True)))

    def all(self) -> tuple[int, ...]:
        """In the order of the fields."""
        return tuple(getattr(self, item.name) for item in fields(self))


def waits_of(prediction: Prediction, ran: Mapping[int, Command], p: MachineParameters) -> Waits:
    """Of the jobs of the commands `ran`, which are all of them or some in a row; of all, `ends` too."""
    array = drain = memory = load = operands = begin = 0
    free: int | None = None
    for item in prediction.jobs:
        before, free = free, item.multiply_end
        command = ran.get(item.command)
        if command is None:
            continue
        gap = 0 if before is None else item.multiply_start - before
        begin = item.multiply_start if before is None else begin
        came = item.load_end >= item.multiply_start
        load, operands = load + gap * came, operands + gap * (not came)
        job = item.job
        steps, inside = job.blocks * job.steps, item.multiply_end - item.multiply_start
        groups = p.row_groups(command.tile_rows(job.tile, p.rows))
        slow = min(inside - steps, job.blocks * max(0, groups - job.steps))
        array, drain, memory = array + steps, drain + slow, memory + inside - steps - slow
    everything = len({item.command for item in prediction.jobs} - ran.keys()) == 0
    last = prediction.jobs[-1].multiply_end if prediction.jobs else 0
    ends = begin + prediction.cycles - last if everything else 0
    return Waits(array, drain, memory, load, operands, ends)
