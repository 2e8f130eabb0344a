# SPDX-License-Identifier: Apache-2.0
"""LOAD: rows in the order of a run list, in each mode that reads rows by one; `Memories` finds them."""

from __future__ import annotations

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.mode import Unit
from hlsgen.machine.modes.times import StageTimes

RUNS = Unit(
    name="load_runs", cpp="load_runs", rtl="load/runs", reads=("list_base", "piece_words", "source_stride")
)


def is_listed(command: Command, job: Job) -> bool:
    """Whether the job's rows are those of a run list."""
    return command.list_base > 0 and job.kind != Kind.CONTEXT


def row_groups(p: MachineParameters, command: Command, job: Job) -> int:
    """Groups of a tile that LOAD reads; rows of a list come one by one."""
    rows = command.tile_rows(job.tile, p.rows)
    return rows if is_listed(command, job) else p.row_groups(rows)


def list_start(t: StageTimes, command: Command, job: Job) -> int:
    """Cycles before the first row of a list: it begins anew in each sweep, and for each head."""
    return t.list_start if is_listed(command, job) and job.tile == 0 else 0
