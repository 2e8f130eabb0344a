# SPDX-License-Identifier: Apache-2.0
"""What a machine that may skip commands does with an image: the commands that run, and what they read."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.format.program import Program


@dataclass(frozen=True, kw_only=True)
class Routing:
    """An image's task, and its queues: tokens of each expert for each router command that runs, in order.

    Queues that are not given are as even as can be.
    """

    task: int = 0
    loads: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """The commands that run with their numbers, on the rows that they have, and their constants in order."""

    program: Program
    task: int
    commands: tuple[tuple[int, Command], ...]
    constants: bytes
    weight_bytes: int

    def image_bytes(self, image: Image) -> int:
        """What is read of the Image, its header apart."""
        parts = [image.program, image.addends]
        if not self.program.parameters.planned:
            parts += [image.constants, image.weights]
        size = sum(-(-len(part) // SECTION_ALIGN) * SECTION_ALIGN for part in parts)
        units = sum(command.weight_units + command.constant_units for _, command in self.commands)
        return size + units * SECTION_ALIGN


def make_plan(program: Program, image: Image, routing: Routing) -> Plan:
    """The plan of an image; without tasks or experts that is the whole program."""
    p = program.parameters
    if not p.planned:
        numbered = tuple(enumerate(program.commands))
        return Plan(program, 0, numbered, image.constants, len(image.weights))
    loads, load, at = list(routing.loads), (), 0
    commands: list[tuple[int, Command]] = []
    constants: list[bytes] = []
    for index, command in enumerate(program.commands):
        begin, at = at, at + command.constant_units * SECTION_ALIGN
        if not command.runs_for(routing.task):
            continue
        if command.target is Target.QUEUES:
            load = loads.pop(0) if loads else _even(command, command.row_count(p.rows))
        if command.expert:
            if not load[command.expert - 1]:
                continue
            command = command.with_rows(load[command.expert - 1], p.rows)
        commands.append((index, command))
        size = command.constant_words * word_bytes(p.columns)
        constants.append(image.constants[begin : begin + size])
        if command.last:
            break
    words = sum(command.weight_words for _, command in commands)
    return Plan(program, routing.task, tuple(commands), b"".join(constants), words * p.columns * p.depth)


def _even(command: Command, tokens: int) -> tuple[int, ...]:
    """As many tokens for every expert as can be."""
    total, count = tokens * command.choices, command.experts
    return tuple(total // count + (index < total % count) for index in range(count))
