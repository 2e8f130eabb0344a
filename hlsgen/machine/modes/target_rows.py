# SPDX-License-Identifier: Apache-2.0
"""DRAIN to rows of the feature or the residual memory."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import TargetMode, Unit

ROWS = Unit(
    name="target_rows",
    cpp="store",
    rtl="drain/address",
    reads=("target_base", "target_stride", "head_words", "outer_target", "target_word"),
)


def result_offset(command: Command, job: Job, row: np.ndarray, block: int) -> np.ndarray:
    """Words from `target_base` to a block's words; a context job has the words of its head."""
    inner = row * command.target_stride + command.target_word
    if command.outer_target:
        outer = job.head if job.kind == Kind.CONTEXT else job.sweep
        return outer * command.outer_target + inner + block - job.first_block
    head = job.head * command.head_words if job.kind == Kind.CONTEXT else 0
    return inner + head + block


class Features(TargetMode):
    """int8."""

    code = Target.FEATURES
    title = "int8 rows of the feature memory"
    units = (ROWS,)

    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        m.features[command.target_base + result_offset(command, job, row, block)] = value


class Residual(TargetMode):
    """int16."""

    code = Target.RESIDUAL
    title = "int16 rows of the residual memory"
    units = (ROWS,)

    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        m.residual[command.target_base + result_offset(command, job, row, block)] = value
