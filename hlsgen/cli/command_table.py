# SPDX-License-Identifier: Apache-2.0
"""`docs/commands.md`: the fields of a command, from the table that declares them."""

from __future__ import annotations

from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS
from hlsgen.machine.format.fields import Field

HEAD = f"""# Commands

`make table` writes this page from `hlsgen/machine/format/commands.py`. Do not edit it.

A command is {COMMAND_BYTES} bytes, little endian. Its fields follow one another from bit 0 on; the bits
behind the last one are zero. T is the number of operand rows; R, C and D are the array's rows, columns and
depth. [glossary.md](glossary.md) defines sweep, block and step; [machine.md](machine.md) has the machine.

A field with *orders* only orders stages that overlap. The RTL and the cycle model read it; the generated C++
does not have it. What LOAD of tile i waits for is the value of `depends`:

| `depends` | LOAD of tile i waits until |
|---|---|
| none | nothing |
| command | command `depends_on` has drained completely |
| tile | all of `depends_on` has drained, or tile i of its last sweep (attention: of its last head) |
"""


def page() -> str:
    """The text of the page."""
    lines = ["| bits | field | default | meaning |", "|---|---|---|---|"]
    position = 0
    for item in FIELDS:
        last = position + item.bits - 1
        bits = f"{position}-{last}" if item.bits > 1 else str(position)
        lines.append(f"| {bits} | {_row(item)} |")
        position += item.bits
    return f"{HEAD}\n## Fields\n\n" + "\n".join(lines) + "\n"


def _row(item: Field) -> str:
    default = str(item.default) if item.enum is None else f"{item.enum(item.default).name.lower()}"
    order = "*orders*: " if item.orders else ""
    sign = ", signed" if item.signed else ""
    return f"`{item.name}`{sign} | {default} | {order}{item.meaning}"
