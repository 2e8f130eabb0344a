# SPDX-License-Identifier: Apache-2.0
"""DRAIN's queues of groups in the cycle model: a block ends only when all its groups have a place in them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.time.depths import queue_depth
from hlsgen.machine.time.latency import ADDEND_COMES, ADDEND_TAKEN, QUEUE, RECOUNT


@dataclass
class GroupQueue:
    """Groups that have a place in a queue of `places`, from their block's end until they leave, in order.

    again: from a group's leaving to the end of a block that takes its place.
    """

    places: int
    again: int
    _leave: deque[int] = field(default_factory=deque)

    def space(self, groups: int) -> int:
        """The earliest end of a block of so many groups."""
        full = len(self._leave) + groups - self.places
        return self._leave[full - 1] + self.again if full > 0 else 0

    def leave(self, time: int, pace: int = 1) -> int:
        """One more group leaves then, or as soon as the one before has left for `pace` cycles."""
        self._leave.append(max(time, self._leave[-1] + pace) if self._leave else time)
        if len(self._leave) > self.places:
            self._leave.popleft()
        return self._leave[-1]


@dataclass
class DrainQueues:
    """The queue of results that leave the machine, and that of the addend stream."""

    parameters: MachineParameters

    def __post_init__(self) -> None:
        p, depth = self.parameters, queue_depth(self.parameters)
        self._output, self._addends = GroupQueue(depth, RECOUNT), GroupQueue(depth + 1, ADDEND_COMES)
        self._pace = ceil_div(2 * p.columns * p.row_width, p.bus_bytes)
        self.written: list[int] = []
        """When each group of results that leave would have been written if it left at once."""

    def output(self, end: int, groups: int, drain: int) -> int:
        """When a block may end that would end then; its first group is written `drain` cycles later."""
        end = max(end, self._output.space(self.parameters.row_groups(self.parameters.rows)))
        for group in range(groups):
            self.written.append(self._output.leave(end + drain + group + QUEUE, self._pace) - QUEUE)
        return end

    def addends(self, end: int, groups: int, drain: int) -> int:
        """The same of a block that takes addends, each some cycles before the group is written."""
        end = max(end, self._addends.space(groups))
        for group in range(groups):
            self._addends.leave(end + drain + group - ADDEND_TAKEN)
        return end
