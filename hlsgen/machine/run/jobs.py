# SPDX-License-Identifier: Apache-2.0
"""A command's jobs, in the machine's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.interface import CONTEXT, PLAIN, SCORES


@dataclass(frozen=True)
class Job:
    """One tile against the blocks of one group.

    place: which of the heads in the key and value memories. reading: the number of the reading of keys and
    values that the job uses, where they are streamed; `opens`, `closes`: it is the first, the last to do so.
    """

    kind: int
    tile: int
    head: int = 0
    place: int = 0
    reading: int = 0
    opens: bool = False
    closes: bool = False
    slot: int = 0
    first_block: int = 0
    blocks: int = 0


def jobs(command: Command) -> Iterator[Job]:
    """The jobs of a command in the machine's order."""
    if command.product is not Product.ATTENTION:
        block = 0
        for group in range(command.groups):
            for tile in range(command.tiles):
                yield Job(PLAIN, tile, first_block=block, blocks=command.group_blocks(group))
            block += command.group_blocks(group)
        return
    count = command.heads * command.tiles
    for j in range(-1, count):
        if j + 1 < count:
            yield _attention_job(command, SCORES, j + 1)
        if j >= 0:
            yield _attention_job(command, CONTEXT, j)


def _attention_job(command: Command, kind: int, j: int) -> Job:
    """Job S(j) or C(j)."""
    head, tile = divmod(j, command.tiles)
    blocks = command.blocks if kind == SCORES else command.head_words
    if not command.span:
        return Job(kind, tile, head, head, slot=j % 2, blocks=blocks)
    reading = head * command.passes + tile // command.span
    last = tile == command.tiles - 1 or tile % command.span == command.span - 1
    opens = tile % command.span == 0
    return Job(kind, tile, head, reading % 2, reading, opens, last, slot=j % 2, blocks=blocks)
