# SPDX-License-Identifier: Apache-2.0
"""DRAIN, mode add: requantize, then add a residual row or the addend stream, saturated to 16 bits."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Drain
from hlsgen.machine.modes.drain_requantize import REQUANTIZE, requantize
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import DrainMode, Unit
from hlsgen.machine.modes.target_rows import result_offset

ADD = Unit(
    name="drain_add",
    cpp="drain_add",
    rtl="drain/add",
    reads=("stream_addend", "addend_base", "target_stride", "outer_target"),
)


class Add(DrainMode):
    """saturate16(requantize(acc) + addend)."""

    code = Drain.ADD
    title = "requantize, then add a residual row or the addend stream"
    units = (REQUANTIZE, ADD)

    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        if command.stream_addend:
            addend = m.streams.addends(len(row))
        else:
            addend = m.residual[command.addend_base + result_offset(command, job, row, block)]
        total = requantize(m, command, block, acc) + addend
        return numerics.saturate(total, -(1 << 15), (1 << 15) - 1)
