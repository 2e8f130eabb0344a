# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY, product maps: scores are sums of stored maps, contexts are as attention's.

A row of the operands holds a row of every map. Weights tell how much of each there is in a head's scores:
talking heads (Shazeer et al. 2020), or maps of blocks before. The jobs are attention's; a head is a sweep of
weights.
"""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import Unit
from hlsgen.machine.modes.product_attention import Attention
from hlsgen.machine.modes.product_operands import value_block
from hlsgen.machine.modes.product_weights import NARROW, TAPS

MAPS = Unit(
    name="product_maps",
    cpp="multiply",
    rtl="core/multiply",
    reads=(
        "tiles", "tail_rows", "k_steps", "blocks", "heads", "keys", "head_words", "value_stride", "exp_steps",
        "shared_values", "value_base", "high_digits",
    ),
)  # fmt: skip


class Maps(Attention):
    """The weight ring, then the value memory."""

    code = Product.MAPS
    title = "the weight ring for scores, the value memory for contexts"
    units = (MAPS, TAPS, NARROW)
    weighted, constant = True, False

    def traffic(self, p: MachineParameters, command: Command) -> int:
        return command.heads * command.blocks * command.ring_words * p.columns * p.depth

    def open(self, m: Memories, command: Command, job: Job) -> None:
        """A head's weights, which all its tiles take."""
        if self.weighs(job) and job.tile == 0:
            m.weights = m.streams.weights(job.blocks, job.steps, narrow=bool(command.narrow))

    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        return m.weights[block] if job.kind == Kind.SCORES else value_block(m, command, job, block)
