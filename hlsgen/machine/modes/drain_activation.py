# SPDX-License-Identifier: Apache-2.0
"""DRAIN, mode activation: requantize to the index's bits, then the activation table."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Drain
from hlsgen.machine.modes.drain_requantize import REQUANTIZE, requantize
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import DrainMode, Unit

ACTIVATION = Unit(
    name="drain_activation",
    cpp="drain_activation",
    rtl="drain/activation",
    reads=("activation_bank",),
)


class Activation(DrainMode):
    """table[requantize(acc) + half]."""

    code = Drain.ACTIVATION
    title = "requantize to an index, then the activation table"
    units = (REQUANTIZE, ACTIVATION)

    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        del job, row
        table = m.activation[command.activation_bank]
        return table[requantize(m, command, block, acc) + len(table) // 2]
