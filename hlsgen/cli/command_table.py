# SPDX-License-Identifier: Apache-2.0
"""`docs/commands.md`: the fields of a command, from the table that declares them."""

from __future__ import annotations

from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS
from hlsgen.machine.format.fields import Field

HEAD = f"""# Commands

`make table` writes this page from `hlsgen/machine/format/commands.py`. Do not edit it.

A command is {COMMAND_BYTES} bytes, little endian. Its fields follow one another from bit 0 on; the bits
behind the last one are zero. T are the rows of operands; R, C and D are the array's rows, columns and depth.

A field with *orders* only orders stages that overlap. The RTL and the cycle model read it; the generated C++
does not have it. LOAD of tile i waits by `depends`: for nothing (none), until command `depends_on` has
drained (command), or until tile i of its last group or last head has (tile).
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
