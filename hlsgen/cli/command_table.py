# SPDX-License-Identifier: Apache-2.0
"""`docs/commands.md`: the fields of a command, from the table that declares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hlsgen.machine.format.commands import COMMAND_BYTES, FIELDS, PLACES
from hlsgen.machine.format.fields import Field
from hlsgen.machine.modes.mode import Mode
from hlsgen.machine.modes.table import STAGES

HEAD = f"""# Commands

`make table` writes this page from `hlsgen/machine/format/commands.py`. Do not edit it.

A command is {COMMAND_BYTES} bytes, little endian. Its fields follow one another from bit 0 on; the bits
behind the last one are zero. T is the number of operand rows; R, C and D are the array's rows, columns and
depth. [glossary.md](glossary.md) defines sweep, block and step; [machine.md](machine.md) has the machine.

A field with *orders* only orders stages that overlap. The RTL, the C++ and the cycle model read it; the
interpreter does not. A field that no mode reads concerns every command: the order of stages, tasks, experts.

What LOAD of tile i waits for is the value of `depends`:

| `depends` | LOAD of tile i waits until |
|---|---|
| none | nothing |
| command | command `depends_on` has drained completely |
| tile | all of `depends_on` has drained, or tile i of its last sweep (attention: of its last head) |
"""


MODES = """`hlsgen/machine/modes/` has a file for each: its fields, its meaning for the interpreter, its time
for the cycle model.
"""


def page() -> str:
    """The text of the page."""
    parts = [HEAD, "## Fields\n", *_fields(), "", "## Modes\n", MODES]
    for stage, modes in STAGES.items():
        parts += [f"### `{stage}`\n", *_modes(modes), ""]
    return "\n".join(parts).rstrip() + "\n"


def _fields() -> list[str]:
    lines = ["| bits | field | default | meaning | read by |", "|---|---|---|---|---|"]
    for item in FIELDS:
        position = PLACES[item.name]
        last = position + item.bits - 1
        bits = f"{position}-{last}" if item.bits > 1 else str(position)
        lines.append(f"| {bits} | {_row(item)} | {_readers(item.name)} |")
    return lines


def _row(item: Field) -> str:
    default = str(item.default) if item.enum is None else item.enum(item.default).name.lower()
    order = "*orders*: " if item.orders else ""
    sign = ", signed" if item.signed else ""
    loads = " or ".join(load.name.lower() for load in item.loads)
    host = f" (its bits are those of `{item.within}`, which no command with load {loads} has)"
    host = host if item.within else ""
    return f"`{item.name}`{sign} | {default} | {order}{item.meaning}{host}"


def _readers(name: str) -> str:
    """The modes that read a field, those of a stage together; nothing where no mode does."""
    found = {stage: [mode.name for mode in modes if name in mode.reads] for stage, modes in STAGES.items()}
    return "; ".join(f"{stage} {', '.join(names)}" for stage, names in found.items() if names)


def _modes(modes: Sequence[Mode[Any]]) -> list[str]:
    lines = ["| code | mode | what | C++ | RTL |", "|---|---|---|---|---|"]
    for mode in modes:
        cpp = ", ".join(dict.fromkeys(f"`{unit.cpp}.hpp`" for unit in mode.units))
        rtl = ", ".join(dict.fromkeys(f"`{unit.rtl}.py`" for unit in mode.units))
        lines.append(f"| {int(mode.code)} | {mode.name} | {mode.title} | {cpp} | {rtl} |")
    return lines
