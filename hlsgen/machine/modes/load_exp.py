# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode attention: query rows for the scores, then the exp of the scores for the contexts."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.load_rows import ROWS, rows_time
from hlsgen.machine.modes.load_runs import RUNS
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit
from hlsgen.machine.modes.times import LoadTime, StageTimes

EXP = Unit(
    name="load_exp",
    cpp="load_exp",
    rtl="load/exp",
    reads=(
        "keys",
        "exp_words",
        "exp_bank",
        "context_multiplier",
        "context_shift",
        "score_addends",
        "high_digits",
    ),
)


class Attention(LoadMode):
    """Rows of queries, one head's; exp rows and, beside them, each row's scale."""

    code = Load.ATTENTION
    title = "for each head and tile: query rows, then exp of the score tile"
    units = (ROWS, EXP, RUNS)

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        if job.kind == Kind.CONTEXT:
            return self._exp(m, command, job, len(row))
        return m.operand_rows(m.features, command, job, row)

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        words = command.digits * command.exp_words if job.kind == Kind.CONTEXT else command.k_words
        return rows_time(p, t, command, job, words)

    def scale(self, command: Command, job: Job) -> tuple[int, ...] | None:
        context = job.kind == Kind.CONTEXT
        return (command.context_multiplier, command.context_shift, command.score_addends) if context else None

    def _exp(self, m: Memories, command: Command, job: Job, rows: int) -> np.ndarray:
        words = np.zeros((rows, command.exp_words * m.p.columns), np.int64)
        logits = m.scores[job.slot, :rows].reshape(rows, -1)
        kept = command.counts(np.arange(logits.shape[1]))
        difference = m.maxima[job.slot, :rows, None] - logits[:, kept]
        e = m.exp[command.exp_bank, 0][difference]
        if command.high_digits:
            e += m.exp[command.exp_bank, 1][difference] << 8
        if command.score_addends:
            e = np.where(logits[:, kept] == -(1 << (m.p.logit_bits - 1)), 0, e)
        words[:, command.counts(np.arange(words.shape[1]))] = e
        multiplier, shift = numerics.context_scale(
            words.sum(-1), command.context_multiplier, command.context_shift
        )
        m.row_scale[job.slot, :rows] = np.stack([multiplier, shift], -1)
        words = words.reshape(rows, command.exp_words, m.p.columns)
        return np.concatenate([words >> 8, words & 255], 1) if command.high_digits else words
