# SPDX-License-Identifier: Apache-2.0
"""LOAD, mode layer_norm: normalised rows of the residual memory."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.machine.format.commands import Command, Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.load_norm_shifts import NORM_SHIFTS, shift_setting, shifts_of
from hlsgen.machine.modes.load_runs import RUNS, list_start, row_groups
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import LoadMode, Unit
from hlsgen.machine.modes.times import LoadTime, StageTimes

LAYER_NORM = Unit(
    name="load_layer_norm",
    cpp="load_layer_norm",
    rtl="load/layer_norm",
    reads=(
        "source", "source_stride", "outer_source", "k_words", "gather", "queue_base",
        "norm_width", "norm_epsilon", "norm_gain", "norm_gain_shift", "norm_rms",
    ),
)  # fmt: skip


def normalise(m: Memories, command: Command, words: np.ndarray) -> np.ndarray:
    """Rows of words [rows, k_words, C], normalised; what lies beyond a row's elements is 0."""
    flat = words.reshape(len(words), -1)
    result = np.zeros_like(flat)
    width = command.norm_width
    result[:, :width] = numerics.layer_norm(
        flat[:, :width],
        command.norm_epsilon,
        command.norm_gain,
        command.norm_gain_shift,
        centred=not command.norm_rms,
        shifts=shifts_of(m, command, width),
    )
    return result.reshape(words.shape)


def norm_setting(command: Command) -> tuple[int, ...]:
    """What the layer norm pipeline must be set to."""
    return (
        command.norm_width,
        command.norm_epsilon,
        command.norm_gain,
        command.norm_gain_shift,
        command.norm_rms,
        *shift_setting(command),
    )


class LayerNorm(LoadMode):
    """Normalised residual rows, of an expert's first layer those of its queue's tokens."""

    code = Load.LAYER_NORM
    title = "normalised rows of the residual memory"
    units = (LAYER_NORM, NORM_SHIFTS, RUNS)

    def tile(self, m: Memories, command: Command, job: Job, row: np.ndarray) -> np.ndarray:
        if command.gather:
            queue = m.experts.queue(command)
            row = np.array([queue[index].token for index in row])
        return normalise(m, command, m.operand_rows(m.residual, command, job, row))

    def time(self, p: MachineParameters, t: StageTimes, command: Command, job: Job) -> LoadTime:
        parts, groups = p.norm_parts or 1, row_groups(p, command, job)
        spacing = max(parts * command.k_words, t.row_spacing)
        # From a row's first read to its last one, and from its first operand word to its last one.
        way = (command.k_words - 1) * parts
        if command.gather:  # the first row is looked up from the tile's start on, as long as any other row
            return LoadTime(t.row_spacing + (groups - 1) * spacing + way, t.norm + way)
        reads = list_start(t, command, job) + groups * spacing
        return LoadTime(reads, t.norm + 2 * way + 1 - spacing)

    def setting(self, command: Command, job: Job) -> tuple[int, ...]:
        del job
        return norm_setting(command)
