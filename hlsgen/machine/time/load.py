# SPDX-License-Identifier: Apache-2.0
"""LOAD in the cycle model: how long a tile is read, and when it is there."""

from __future__ import annotations

import math
from typing import NamedTuple

from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.interface import CONTEXT
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run.jobs import Job
from hlsgen.machine.time.latency import PATCH_MEASURE, PATCH_ROW
from hlsgen.machine.time.stages import StageTimes


class LoadTime(NamedTuple):
    """Cycles of reading, from the first read on, and from then until the tile is there."""

    reads: int
    there: int


def load_time(p: MachineParameters, t: StageTimes, command: Command, job: Job, rows: int) -> LoadTime:
    """The time of one job's tile of `rows` rows."""
    words, groups = command.k_words, p.row_groups(rows)
    if job.kind == CONTEXT:
        return LoadTime(groups * command.exp_words, t.rows - 1)
    if command.load is Load.LAYER_NORM:
        spacing = max(words, t.row_spacing)
        return LoadTime((groups - 1) * spacing + words, t.norm + words - 1)
    if command.load is Load.PATCHES:
        fresh = job.tile == job.first_block == 0
        first = PATCH_MEASURE + command.patch_channels + command.patch_height if fresh else 0
        return LoadTime(first + rows * patch_reads(p, command), t.rows - 1)
    if command.load is Load.POOL_NORM:
        return LoadTime(p.row_groups(command.pool_rows) * words, t.pool_norm + words - 1)
    if command.load is Load.POOL:
        return LoadTime(p.row_groups(command.pool_rows) * words, t.pool)
    return LoadTime(groups * words, t.rows - 1)


def patch_reads(p: MachineParameters, command: Command) -> int:
    """Cycles of reading a patch: as many pixels at once as divide its width and a word."""
    return PATCH_ROW + command.k_words * (p.columns // math.gcd(command.patch_width, p.columns))


def pixel_words(p: MachineParameters, command: Command, job: Job, rows: int) -> int:
    """Image words that must have come for the tile's last row."""
    patch = max(0, job.tile * p.rows + rows - 1 - command.patch_prefix)
    lines = (patch // command.patch_columns + 1) * command.patch_height
    return lines * command.patch_channels * command.row_words


def norm_setting(command: Command, job: Job) -> tuple[int, ...] | None:
    """What the layer norm pipeline must be set to, None for the other one."""
    if job.kind == CONTEXT or command.load not in (Load.LAYER_NORM, Load.POOL, Load.POOL_NORM):
        return None
    return command.norm_width, command.norm_epsilon, command.norm_gain, command.norm_gain_shift
