# SPDX-License-Identifier: Apache-2.0
"""DRAIN, mode requantize: bias, multiplier and shift of each column, saturated to the command's range."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Drain
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import DrainMode, Unit

REQUANTIZE = Unit(
    name="drain_requantize",
    cpp="drain_requantize",
    rtl="drain/requantize",
    reads=("low", "high"),
)


def requantize(m: Memories, command: Command, block: int, acc: np.ndarray) -> np.ndarray:
    """A block's accumulators [rows, C] by its columns' constants."""
    constants = m.constants
    return numerics.requantize(
        acc + constants.bias[block],
        constants.multiplier[block],
        constants.shift[block],
        command.low,
        command.high,
    )


class Requantize(DrainMode):
    """Nothing else."""

    code = Drain.REQUANTIZE
    title = "requantize: bias, multiplier and shift of each column"
    units = (REQUANTIZE,)

    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        del job, row
        return requantize(m, command, block, acc)
