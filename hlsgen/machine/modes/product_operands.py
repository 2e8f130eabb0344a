# SPDX-License-Identifier: Apache-2.0
"""MULTIPLY, products keys and values: what one command has written there multiplies the rows of another.

A sweep is a head: its own part of each operand row meets its own keys or values. Results take constants of
their own, as those of weights do, so that they are zero where there is no key.
"""

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
from hlsgen.machine.modes.product_weights import sweeps

_READS = (
    "tiles", "tail_rows", "k_steps", "sweeps", "blocks", "outer_source", "shared",
)  # fmt: skip
KEYS = Unit(
    name="product_keys", cpp="multiply", rtl="core/multiply", reads=(*_READS, "head_stride", "key_base")
)
VALUES = Unit(
    name="product_values", cpp="multiply", rtl="core/multiply", reads=(*_READS, "value_stride", "value_base")
)


def key_words(command: Command, p: MachineParameters) -> int:
    """Words of a key: those of an operand row's steps."""
    return command.k_steps * p.depth // p.columns


def keys_at(m: Memories, command: Command, start: int) -> np.ndarray:
    """[elements, C]: the C keys that begin at a word, as columns."""
    c, words = m.p.columns, key_words(command, m.p)
    lanes = m.keys[start : start + words]  # word, lane, element
    return lanes.transpose(0, 2, 1).reshape(words * c, c)


def values_at(m: Memories, starts: np.ndarray) -> np.ndarray:
    """[elements, C]: a word of D values for each of some words of the memory."""
    return m.values[starts].reshape(len(starts) * m.p.depth, m.p.columns)


def key_block(m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
    """[elements, C]: C keys of the job's place as columns."""
    start = command.key_base + job.place * command.head_stride
    return keys_at(m, command, start + block * key_words(command, m.p))


def value_block(m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
    """[elements, C]: word `block` of the values of the job's place; a value has as many as the job blocks.

    A high digit meets the same values as the low one, and counts 256 times as much.
    """
    digits = command.digits if job.kind == Kind.CONTEXT else 1
    start = command.value_base + job.place * command.value_stride + block
    values = values_at(m, start + np.arange(job.steps // digits) * job.blocks)
    return np.concatenate([values << 8, values]) if digits > 1 else values


class _Operands(ProductMode):
    weighted = False
    constant = True

    def jobs(self, p: MachineParameters, command: Command) -> Iterator[Job]:
        del p
        return sweeps(command)

    def steps(self, command: Command) -> int:
        return command.total_blocks * command.tiles * command.k_steps

    def traffic(self, p: MachineParameters, command: Command) -> int:
        """Constants."""
        return block_words(command.total_blocks) * word_bytes(p.columns)

    def is_final(self, command: Command, job: Job) -> bool:
        return job.sweep == command.sweeps - 1

    def begin(self, m: Memories, command: Command) -> None:
        del command
        m.load_constants()

    def open(self, m: Memories, command: Command, job: Job) -> None:
        """Keys and values lie in the machine."""


class Keys(_Operands):
    """Rows times keys: A @ B.T by head."""

    code = Product.KEYS
    title = "the key memory: a column of the result is a key"
    units = (KEYS,)

    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        return key_block(m, command, job, block)


class Values(_Operands):
    """Rows times values: A @ B by head; zeros in the rows where there is no value."""

    code = Product.VALUES
    title = "the value memory: an element of an operand row meets a value"
    units = (VALUES,)

    def block(self, m: Memories, command: Command, job: Job, block: int) -> np.ndarray:
        return value_block(m, command, job, block)
