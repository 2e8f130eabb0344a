# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY, product weights: for each sweep all tiles, so that each weight is read once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.constants import block_words, word_bytes
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.memories import Memories
from hlsgen.machine.modes.mode import ProductMode, Unit

TAPS = Unit(name="taps", cpp="multiply", rtl="core/multiply", reads=("tap_steps", "tap_jump", "advance"))
"""The walk of a block's steps through an operand row; `Command.steps_read` says where it leads."""
NARROW = Unit(name="narrow_weights", cpp="multiply", rtl="core/multiply", reads=("narrow",))
"""Weights of 4 bits: a ring word is taken for two steps; a block begins with a word of its own."""
WEIGHTS = Unit(
    name="product_weights",
    cpp="multiply",
    rtl="core/multiply",
    reads=("tiles", "tail_rows", "k_steps", "sweeps", "blocks", "extra", "outer_source"),
)


def sweeps(command: Command) -> Iterator[Job]:
    """For each sweep all tiles."""
    first = 0
    for sweep in range(command.sweeps):
        blocks, head = command.sweep_blocks(sweep), sweep if command.outer_source else 0
        for tile in range(command.tiles):
            yield Job(
                Kind.PLAIN, tile, head, command.place(sweep),
                sweep=sweep, first_block=first, blocks=blocks, steps=command.k_steps,
            )  # fmt: skip
        first += blocks


class Weights(ProductMode):
    """The weight ring."""

    code = Product.WEIGHTS
    title = "the weight ring"
    units = (WEIGHTS, TAPS, NARROW)
    weighted = constant = True

    def jobs(self, p: MachineParameters, command: Command) -> Iterator[Job]:
        del p
        return sweeps(command)

    def steps(self, command: Command) -> int:
        return command.total_blocks * command.tiles * command.k_steps

    def traffic(self, p: MachineParameters, command: Command) -> int:
        weights = command.total_blocks * command.ring_words * p.columns * p.depth
        return weights + block_words(command.total_blocks) * word_bytes(p.columns)

    def is_final(self, command: Command, job: Job) -> bool:
        return job.first_block + job.blocks == command.total_blocks

    def begin(self, m: Memories, command: Command) -> None:
        del command
        m.load_constants()

    def open(self, m: Memories, command: Command, job: Job) -> None:
        if job.tile == 0:
            m.weights = m.streams.weights(job.blocks, job.steps, narrow=bool(command.narrow))

    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        del command, job
        return m.weights[block]
