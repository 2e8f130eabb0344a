# SPDX-License-Identifier: Apache-2.0
"""DRAIN, mode combine: requantize, weight by the queue entry's gate, add to its token's residual row."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Drain
from hlsgen.machine.modes.drain_requantize import REQUANTIZE, requantize
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import DrainMode, Unit

COMBINE = Unit(
    name="drain_combine",
    cpp="drain_combine",
    rtl="drain/combine",
    reads=("addend_base", "target_base", "target_stride", "queue_base", "gate_shift"),
)


class Combine(DrainMode):
    """A token's first expert adds to the row as it was before the experts, the others to what is there."""

    code = Drain.COMBINE
    title = "requantize, weight by the queue entry's gate, add to its token's residual row"
    units = (REQUANTIZE, COMBINE)

    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        del job
        entries = [m.experts.queue(command)[index] for index in row]
        token, gate = (np.array([getattr(entry, name) for entry in entries]) for name in ("token", "gate"))
        base = np.where([entry.first for entry in entries], command.addend_base, command.target_base)
        total = m.residual[base + token * command.target_stride + block]
        value = requantize(m, command, block, acc)
        return numerics.gated_add(total, value, gate[:, None], command.gate_shift)

    def place(self, m: Memories, command: Command, row: np.ndarray) -> np.ndarray:
        queue = m.experts.queue(command)
        return np.array([queue[index].token for index in row])
