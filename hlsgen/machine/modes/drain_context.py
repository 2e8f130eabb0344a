# SPDX-License-Identifier: Apache-2.0
"""DRAIN, mode attention: scores to logits, contexts times the row's scale, saturated to int8."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Drain
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.modes.drain_scores import SCORES, scores
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import DrainMode, Unit

CONTEXT = Unit(name="drain_context", cpp="drain_context", rtl="drain/attention", reads=())


class Attention(DrainMode):
    """Scores stay in the score tile; contexts go to the target."""

    code = Drain.ATTENTION
    title = "scores: requantize, keep the row maximum; contexts: times the row's reciprocal"
    units = (SCORES, CONTEXT)

    def result(
        self, m: Memories, command: Command, job: Job, row: np.ndarray, block: int, acc: np.ndarray
    ) -> np.ndarray:
        if job.kind == Kind.SCORES:
            return scores(m, command, job, block, acc)
        multiplier, shift = m.row_scale[job.slot, : len(row)].T
        return numerics.requantize(acc, multiplier[:, None], shift[:, None], -128, 127)

    def leaves(self, job: Job) -> bool:
        return job.kind == Kind.CONTEXT
