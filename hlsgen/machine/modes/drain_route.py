# SPDX-License-Identifier: Apache-2.0
"""DRAIN to the expert queues: each token's router logits send it to its best experts, with its gates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import TargetMode, Unit
from hlsgen.machine.modes.times import StageTimes
from hlsgen.numerics import GateMode

ROUTE = Unit(
    name="drain_route",
    cpp="drain_route",
    rtl="experts/route",
    reads=("experts", "choices", "gate_mode"),
)


class Queues(TargetMode):
    """A command begins with empty queues; a token's last block of logits sends it to its queues."""

    code = Target.QUEUES
    title = "router logits: each token goes to the queues of its best experts"
    units = (ROUTE,)

    def begin(self, m: Memories) -> None:
        m.experts.start()

    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        del job
        m.experts.logits(command, row, block, value)

    def routed(self, p: MachineParameters, t: StageTimes, command: Command, drained: Sequence[int]) -> int:
        walk = ceil_div(command.experts, t.route_pace)
        again = walk if command.gate_mode == GateMode.ALL else 0
        late = t.route + (t.route_all + walk if again else 0)
        token, begun = max(walk + 6, command.choices + 2 + again, command.choices + 11), -(1 << 30)
        for index, time in enumerate(drained):
            rows = command.tile_rows(index, p.rows)
            begun = max(begun + token, time - p.row_groups(rows) + 1) + (rows - 1) * token
            begun = max(begun, time)
        return begun + walk + 2 * command.choices + late
