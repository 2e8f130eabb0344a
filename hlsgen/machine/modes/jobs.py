# SPDX-License-Identifier: Apache-2.0
"""Jobs: one tile against the blocks of one sweep. A product's mode says which jobs a command has."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.format.interface import Kind


@dataclass(frozen=True)
class Job:
    """One tile against the blocks of one sweep.

    head: of attention or of a product with keys or values; a sweep, where it reads its own part of the rows.
    place: which of the heads in the key and value memories. sweep: which it is, from 0 on.
    reading: the number of the reading of keys and
    values that the job uses, where they are streamed; `opens`, `closes`: it is the first, the last to do so.
    steps: of each block.
    """

    kind: Kind
    tile: int
    head: int = 0
    place: int = 0
    reading: int = 0
    opens: bool = False
    closes: bool = False
    slot: int = 0
    first_block: int = 0
    sweep: int = 0
    blocks: int = 0
    steps: int = 0
