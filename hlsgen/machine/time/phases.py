# SPDX-License-Identifier: Apache-2.0
"""Which part of a transformer a command belongs to, its steps of the array, its bytes from outside."""

from __future__ import annotations

from hlsgen.machine.format.commands import Command, Drain, Load, Product, Target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import Program
from hlsgen.machine.modes.table import LOADS, PRODUCTS


def phase_of(command: Command, before: Command | None) -> str:
    """The part of a transformer that a command belongs to; `before` is the one it follows."""
    if command.load is Load.PATCHES:
        return "patch embedding"
    if command.product in (Product.ATTENTION, Product.MAPS):
        return "attention"
    if command.target is Target.OUTPUT or command.last:
        return "head"
    if command.target is Target.QUEUES:
        return "router"
    if command.expert:
        return "experts 1" if command.gather else "experts 2"
    if command.drain is Drain.ACTIVATION:
        return "MLP 1"
    if command.drain is Drain.ADD:
        return "MLP 2" if before is not None and before.drain is Drain.ACTIVATION else "projection"
    return "Q, K, V"


def steps_of(command: Command) -> int:
    """Steps that MULTIPLY issues for a command."""
    return PRODUCTS[command.product].steps(command)


def bytes_of(command: Command, program: Program) -> int:
    """Bytes a command takes from outside: weights, constants, addends, pixels, keys and values."""
    p: MachineParameters = program.parameters
    size = PRODUCTS[command.product].traffic(p, command)
    addend_blocks = command.total_blocks if command.stream_addend else 0
    addend_blocks += command.blocks * sum(command.takes_addends(head) for head in range(command.heads))
    size += addend_blocks * p.padded_rows(command.row_count(p.rows)) * p.columns * 2
    if LOADS[command.load].takes_input:
        size += program.input.words * p.columns
    return size
