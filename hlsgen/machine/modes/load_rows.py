# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode rows: int8 rows of the feature memory; attention's query rows are those of one head."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.load_runs import RUNS, list_start, row_groups
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit
from hlsgen.machine.modes.times import LoadTime, StageTimes

ROWS = Unit(
    name="load_rows",
    cpp="load_rows",
    rtl="load/walk",
    reads=("source", "source_stride", "k_words", "outer_source", "source_word"),
)


def rows_time(p: MachineParameters, t: StageTimes, command: Command, job: Job, words: int) -> LoadTime:
    """The time of a tile of rows of so many words, a word of each row of a group a cycle."""
    reads = list_start(t, command, job) + row_groups(p, command, job) * words
    return LoadTime(reads, t.rows - 1)


class Rows(LoadMode):
    """What the command before has left."""

    code = Load.ROWS
    title = "int8 rows of the feature memory"
    units = (ROWS, RUNS)

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        return m.operand_rows(m.features, command, job, row)

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        return rows_time(p, t, command, job, command.k_words)
