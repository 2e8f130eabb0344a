# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY, product attention: scores by the keys, contexts by the values.

j counts (head, tile), heads outer. The jobs are S(0), then S(j+1) and C(j) for each j: the exp of a score
tile is made while the next scores are multiplied. With more than two score tiles scores are as far ahead.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hlsgen.machine.format.commands import Command, Product, Target
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import ProductMode, Unit
from hlsgen.machine.modes.product_operands import (
    key_block,
    key_words,
    keys_at,
    value_block,
    values_at,
)

ATTENTION = Unit(
    name="product_attention",
    cpp="multiply",
    rtl="core/multiply",
    reads=(
        "tiles", "tail_rows", "k_steps", "blocks", "heads", "keys", "head_words", "head_stride",
        "value_stride", "exp_steps", "span", "readings", "head_units", "shared",
        "shared_values", "key_base", "value_base", "key_runs", "high_digits",
    ),
)  # fmt: skip


class Attention(ProductMode):
    """The key memory, then the value memory."""

    code = Product.ATTENTION
    title = "the key memory for scores, the value memory for contexts"
    units = (ATTENTION,)
    weighted = constant = False

    def jobs(self, p: MachineParameters, command: Command) -> Iterator[Job]:
        count, ahead = command.heads * command.tiles, p.score_slots - 1
        for j in range(-ahead, count):
            if j + ahead < count:
                yield self._job(p, command, Kind.SCORES, j + ahead)
            if j >= 0:
                yield self._job(p, command, Kind.CONTEXT, j)

    def _job(self, p: MachineParameters, command: Command, kind: Kind, j: int) -> Job:
        """Job S(j) or C(j)."""
        head, tile = divmod(j, command.tiles)
        blocks, steps = (
            (command.blocks, command.k_steps)
            if kind == Kind.SCORES
            else (command.head_words, command.digits * command.exp_steps)
        )
        if not command.span:
            place = command.place(head) if kind == Kind.SCORES else command.value_place(head)
            return Job(kind, tile, head, place, slot=j % p.score_slots, blocks=blocks, steps=steps)
        reading = head * command.readings + tile // command.span
        opens = tile % command.span == 0
        closes = tile == command.tiles - 1 or tile % command.span == command.span - 1
        place = reading % 2
        slot = j % p.score_slots
        return Job(kind, tile, head, place, reading, opens, closes, slot, blocks=blocks, steps=steps)

    def steps(self, command: Command) -> int:
        each = command.blocks * command.k_steps + command.head_words * command.digits * command.exp_steps
        return command.heads * command.tiles * each

    def traffic(self, p: MachineParameters, command: Command) -> int:
        """Keys and values, as often as they are read, where they are streamed."""
        del p
        return 2 * command.heads * command.readings * command.head_units * SECTION_ALIGN

    def is_final(self, command: Command, job: Job) -> bool:
        return job.kind == Kind.CONTEXT and job.head == command.heads - 1

    def begin(self, m: Memories, command: Command) -> None:
        """Attention has no constants and no weights."""

    def open(self, m: Memories, command: Command, job: Job) -> None:
        """Keys, or values, of a head from external memory to the place that the job reads."""
        if not job.opens:
            return
        keys = job.kind == Kind.SCORES
        rows = m.workspace.read(Target.KEYS if keys else Target.VALUES, command, job.head)
        for word in range(command.head_words):
            m.write_operands(command, job.place, np.arange(len(rows)), word, rows[:, word], keys=keys)

    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        keys = job.kind == Kind.SCORES
        if not command.key_runs:
            return (key_block if keys else value_block)(m, command, job, block)
        if keys:
            first = m.listed(command, job, key_words(command, m.p), 0)[block]
            return keys_at(m, command, job.place * command.head_stride + first)
        places = m.listed(command, job, job.blocks, 1)
        return values_at(m, job.place * command.value_stride + places + block)
