# SPDX-License-Identifier: Apache-2.0
"""Results on their way out in the cycle model: a block ends only when its groups have room in their queue."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.time.depths import queue_depth
from hlsgen.machine.time.latency import QUEUE, RECOUNT


@dataclass
class OutputQueue:
    """Groups that have a place in the queue, from their block's end until they leave, in order."""

    parameters: MachineParameters
    _leave: deque[int] = field(default_factory=deque)
    _last: int = 0

    def space(self) -> int:
        """The earliest end of a block whose tile may have all groups of rows."""
        p = self.parameters
        full = len(self._leave) + p.row_groups(p.rows) - queue_depth(p)
        return self._leave[full - 1] + RECOUNT if full > 0 else 0

    def reserve(self, written: int, groups: int) -> None:
        """A block's first group is `written` then, and leaves as soon as the bus has taken those before."""
        p = self.parameters
        pace = ceil_div(2 * p.columns * p.row_width, p.bus_bytes)
        for group in range(groups):
            self._last = max(written + group + QUEUE, self._last + pace)
            self._leave.append(self._last)
        while len(self._leave) > queue_depth(p):
            self._leave.popleft()
