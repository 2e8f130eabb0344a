# SPDX-License-Identifier: Apache-2.0
"""DRAIN to keys and values: of attention's two memories or, where it is streamed, to external memory."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import TargetMode, Unit

KEYS = Unit(
    name="target_keys",
    cpp="store",
    rtl="drain/address",
    reads=("tiles", "head_words", "head_stride", "window_rows"),
)
VALUES = Unit(
    name="target_values",
    cpp="store",
    rtl="drain/address",
    reads=("tiles", "head_words", "value_stride", "window_rows"),
)


class _Operands(TargetMode):
    """Block b is word b % head_words of head b // head_words."""

    def write(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, value: np.ndarray
    ) -> None:
        head, word = divmod(block, command.head_words)
        if m.p.streamed:
            last = job.tile == command.tiles - 1 and word == command.head_words - 1
            m.workspace.write(self.code, value, first=job.tile == block == 0, last=last)
        else:
            m.write_operands(command, head, row, word, value, keys=self.code is Target.KEYS)


class Keys(_Operands):
    """A lane a key; C lanes."""

    code = Target.KEYS
    title = "keys: of all heads, or to external memory"
    units = (KEYS,)


class Values(_Operands):
    """A lane a key; D lanes."""

    code = Target.VALUES
    title = "values: of all heads, or to external memory"
    units = (VALUES,)
