# SPDX-License-Identifier: Apache-2.0
"""DRAIN, attention scores: requantize to logits, keep each row's maximum over the keys that exist."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import Unit

SCORES = Unit(
    name="drain_scores",
    cpp="drain_scores",
    rtl="drain/attention",
    reads=("keys", "logit_multiplier", "logit_shift", "low", "high", "score_addends", "kept_addends"),
)


def scores(m: Memories, command: Command, job: Job, block: int, acc: np.ndarray) -> np.ndarray:
    """A block's logits [rows, C], which stay in the score tile."""
    half, rows = 1 << (m.p.logit_bits - 1), len(acc)
    span = numerics.logit_range(m.p.logit_bits, adds=False)
    span = (command.low, command.high) if m.p.score_addends else span
    value = numerics.requantize(acc, command.logit_multiplier, command.logit_shift, *span)
    if command.score_addends:
        value = numerics.add_scores(value, m.score_addends(command, job, block, rows), m.p.logit_bits)
    m.scores[job.slot, :rows, block] = value
    real = command.counts(block * m.p.columns + np.arange(m.p.columns))
    largest = np.where(real, value, -half).max(-1)
    previous = m.maxima[job.slot, :rows] if block else np.full(rows, -half)
    m.maxima[job.slot, :rows] = np.maximum(previous, largest)
    return value
