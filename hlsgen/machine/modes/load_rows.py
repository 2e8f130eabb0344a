# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode rows: int8 rows of the feature memory; attention's query rows are those of one head."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit

ROWS = Unit(
    name="load_rows",
    cpp="load_rows",
    rtl="load/walk",
    reads=("source", "source_stride", "k_words", "head_words"),
)


class Rows(LoadMode):
    """What the command before has left."""

    code = Load.ROWS
    title = "int8 rows of the feature memory"
    units = (ROWS,)

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        return m.operand_rows(m.features, command, row, job.head * command.head_words)
