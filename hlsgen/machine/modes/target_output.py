# SPDX-License-Identifier: Apache-2.0
"""DRAIN to the output: C x int16 words in drain order, rows up to whole groups."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import TargetMode, Unit

OUTPUT = Unit(name="target_output", cpp="store", rtl="drain/streams", reads=())


class Output(TargetMode):
    """The task's result leaves the machine."""

    code = Target.OUTPUT
    title = "the output, in drain order"
    units = (OUTPUT,)

    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        del command, job, row, block
        words = np.zeros((m.p.padded_rows(len(value)), m.p.columns), "<i2")
        words[: len(value)] = value
        m.output.append(words.tobytes())
