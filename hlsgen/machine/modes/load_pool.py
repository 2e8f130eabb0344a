# SPDX-License-Identifier: Apache-2.0
"""LOAD, modes pool and pool_norm: one row, the mean over residual rows, as int8 or normalised."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.load_layer_norm import LAYER_NORM, norm_setting, normalise
from hlsgen.machine.modes.load_norm_shifts import NORM_SHIFTS
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit
from hlsgen.machine.modes.times import LoadTime, StageTimes

POOL = Unit(
    name="load_pool",
    cpp="load_pool",
    rtl="load/pool",
    reads=("source", "source_stride", "outer_source", "k_words", "pool_rows", "pool_shift"),
)


def mean(m: Memories, command: Command, job: Job, bits: int) -> np.ndarray:
    """The shifted sum of the rows, saturated to `bits` bits: [1, k_words, C]."""
    rows = m.operand_rows(m.residual, command, job, np.arange(command.pool_rows))
    shifted = numerics.round_shift(rows.sum(0, keepdims=True), command.pool_shift)
    return numerics.saturate(shifted, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


class Pool(LoadMode):
    """The mean as an operand row."""

    code = Load.POOL
    title = "one row: mean over residual rows, saturated to int8"
    units = (POOL,)
    alone = True

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        del row
        return mean(m, command, job, 8)

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        del job
        return LoadTime(p.row_groups(command.pool_rows) * command.k_words * (p.norm_parts or 1), t.pool)

    def setting(self, command: Command, job: Job) -> tuple[int, ...]:
        del job
        return norm_setting(command)


class PoolNorm(LoadMode):
    """The mean, then the layer norm."""

    code = Load.POOL_NORM
    title = "one row: mean over residual rows, saturated to int16, then normalised"
    units = (POOL, LAYER_NORM, NORM_SHIFTS)
    alone = True

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        del row
        return normalise(m, command, mean(m, command, job, 16))

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        del job
        parts = p.norm_parts or 1
        reads = p.row_groups(command.pool_rows) * command.k_words * parts
        return LoadTime(reads, t.pool_norm + (command.k_words - 2) * parts + 1)

    def setting(self, command: Command, job: Job) -> tuple[int, ...]:
        del job
        return norm_setting(command)
