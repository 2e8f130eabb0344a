# SPDX-License-Identifier: Apache-2.0
"""Program and Image to HLS C++: sources, test bench and project files, as text."""

from __future__ import annotations

import dataclasses
import math
import re
import struct
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from hlsgen.display.names import free_name
from hlsgen.emit import dataflow
from hlsgen.emit.render import render
from hlsgen.emit.repeats import Section, find_repeats
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.machine.format.commands import FIELDS, Command, Depends, Drain, Load, Product, Target
from hlsgen.machine.format.constants import command_words
from hlsgen.machine.format.fields import Field
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.interface import DRAIN, SCORES, Header
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import Program
from hlsgen.machine.modes.table import PRODUCTS
from hlsgen.machine.time.hls import schedule
from hlsgen.version import __version__

FOLDER = "hls"
TOP = "hlsgen_top"
"""Name of the top function."""
DEFAULT_PART = "xck26-sfvc784-2LV-c"
TEMPLATES = (
    "command.hpp",
    "dataflow.hpp",
    "interface.hpp",
    "parameters.hpp",
    "schedule.hpp",
    "top.hpp",
    "top.cpp",
    "tb.cpp",
    "Makefile",
    "run_hls.tcl",
    "hls_config.cfg",
)

ENUMS = (Load, Product, Drain, Target, Depends)


@dataclass(frozen=True)
class Assignment:
    """`name = value` in C++."""

    name: str
    value: str


@dataclass(frozen=True)
class Member:
    """A member of the C++ struct of commands."""

    type: str
    name: str
    default: str
    meaning: tuple[str, ...]
    """Lines."""


@dataclass(frozen=True)
class Enumeration:
    """An enumeration of the C++: what it says, and `name = number` of each value."""

    name: str
    meaning: str
    values: tuple[Assignment, ...]


@dataclass(frozen=True)
class RepeatTable:
    """A field's value in each repeat of a layer."""

    field: str
    type: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class CommandText:
    """One command of the printed program, or the same command of all repeats of a layer."""

    name: str
    comment: str
    fields: tuple[Assignment, ...]
    tables: tuple[RepeatTable, ...]
    last: bool
    """A task's last command: no other follows."""


@dataclass(frozen=True)
class SectionText:
    """Commands in order, executed `count` times."""

    count: int
    commands: tuple[CommandText, ...]
    first: int = 0
    """Number of its first command among the printed ones."""

    @property
    def last(self) -> int:
        """Number of its last command."""
        return self.first + len(self.commands) - 1


@dataclass(frozen=True)
class Layout:
    """Sizes in bytes, sections in beats, and the Image's header words."""

    image_bytes: int
    input_bytes: int
    input_words: int
    output_bytes: int
    constants_beat: int
    weights_beat: int
    addends_beat: int
    header: tuple[int, ...]


def hls(
    program: Program,
    image: Image,
    *,
    part: str = DEFAULT_PART,
    clock_mhz: float = 200.0,
    data: str = "../data",
) -> dict[str, str]:
    """Path to text of the C++ and its projects; writes nothing.

    Parameters
    ----------
    program, image
        What `lower` made. The C++ holds the Image's header, and reads its weights when it runs.
    part, clock_mhz
        For the Vitis projects.
    data
        Folder of image.bin, inputs.bin and expected.bin, relative to the folder of the sources.

    Raises `UsageError` with every argument that can't be used.
    """
    _check(part, clock_mhz, data)
    sections = section_texts(_sized(program, image))
    context = {
        "version": __version__,
        "top": TOP,
        "part": part,
        "period": f"{1000 / clock_mhz:.3f}",
        "data": data,
        "parameters": [Assignment(*item) for item in dataclasses.asdict(program.parameters).items()],
        "bus_bytes": program.parameters.bus_bytes,
        "layout": _layout(program, image),
        "workspace_bytes": image.workspace_bytes,
        "enumerations": enumerations(),
        "members": members(),
        "planned": program.parameters.planned,
        "experts": program.parameters.experts,
        "commands": len(program.commands),
        "sections": sections,
        "listed": [command for section in sections for command in section.commands],
        **_processes(program.parameters),
    }
    files = {f"{FOLDER}/{path.name}": path.read_text("utf-8") for path in sorted(folder().glob("*.hpp"))}
    files |= {f"{FOLDER}/{name}": render(f"{FOLDER}/{name}", context) for name in TEMPLATES}
    return dict(sorted(files.items()))


def _processes(parameters: MachineParameters) -> dict[str, Any]:
    """What the templates print of the processes."""
    plan, names = schedule(parameters), dataflow.ports(parameters)
    return {
        "schedule": plan,
        "processes": dataflow.process_texts(parameters, plan),
        "channels": dataflow.channels(parameters, plan),
        "ports": names,
        "region": dataflow.region(names),
    }


def _sized(program: Program, image: Image) -> Program:
    """The program whose commands say how many words of constants they take, as FETCH must know it."""
    if program.parameters.planned:
        return program
    sizes = iter(command_words(image.constants, program.parameters.columns))
    counts = [next(sizes) if PRODUCTS[command.product].constant else 0 for command in program.commands]
    commands = tuple(
        dataclasses.replace(command, constant_words=count)
        for command, count in zip(program.commands, counts, strict=True)
    )
    return dataclasses.replace(program, commands=commands)


def enumerations() -> tuple[Enumeration, ...]:
    """The enumerations of a command's fields."""
    return tuple(
        Enumeration(
            enum.__name__,
            str(enum.__doc__),
            tuple(Assignment(item.name.lower(), str(item.value)) for item in enum),
        )
        for enum in ENUMS
    )


def members() -> tuple[Member, ...]:
    """The members of the C++ struct of commands."""
    return tuple(
        Member(_type(item), item.name, _literal(item.default), tuple(textwrap.wrap(item.meaning, 110)))
        for item in FIELDS
    )


def folder() -> Path:
    """The folder of the C++ headers and their templates."""
    import hlsgen.templates

    return Path(next(iter(hlsgen.templates.__path__))) / FOLDER


def _check(part: str, clock_mhz: float, data: str) -> None:
    problems = []
    if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", part):
        problems.append(Problem(f"part must be letters, digits and hyphens, not {part!r}"))
    if not (math.isfinite(clock_mhz) and 1 <= clock_mhz <= 1000):
        problems.append(Problem(f"clock_mhz must be in 1..1000, not {clock_mhz!r}"))
    if not re.fullmatch(r"[A-Za-z0-9_.]+(/[A-Za-z0-9_.]+)*", data):
        problems.append(Problem(f"data must be a folder of letters, digits, dots and slashes, not {data!r}"))
    if problems:
        raise UsageError(problems, code=Code.PROJECT)


def _layout(program: Program, image: Image) -> Layout:
    blob = image.pack()
    words = struct.unpack_from(f"<{HEADER_BYTES // 4}I", blob)
    bus = program.parameters.bus_bytes
    return Layout(
        image_bytes=len(blob),
        input_bytes=image.input_bytes,
        input_words=min(program.input.words, program.parameters.image_words),
        output_bytes=image.output_bytes,
        constants_beat=words[Header.CONSTANTS] // bus,
        weights_beat=words[Header.WEIGHTS] // bus,
        addends_beat=words[Header.ADDENDS] // bus,
        header=words,
    )


def section_texts(program: Program) -> tuple[SectionText, ...]:
    """The program as sections of named commands, repeated layers rolled up."""
    names = _result_names(program)
    taken: set[str] = set()
    texts: list[SectionText] = []
    for section in find_repeats([_shape(command) for command in program.commands]):
        commands = []
        stop = section.start + section.period * section.count
        for offset in range(section.period):
            indices = range(section.start + offset, stop, section.period)
            name = _unique(identifier(common_name([names[i] for i in indices])), taken)
            commands.append(_command_text(name, section, indices, [program.commands[i] for i in indices]))
        first = sum(len(text.commands) for text in texts)
        texts.append(SectionText(section.count, tuple(commands), first))
    return tuple(texts)


def _result_names(program: Program) -> list[str]:
    """The tensor that each command writes."""
    names = [""] * len(program.commands)
    for view in program.views:
        if view.which == DRAIN and view.kind != SCORES:
            names[view.command] = view.tensor
    return names


def _shape(command: Command) -> tuple[Any, ...]:
    """What must be equal in all repeats of a layer."""
    same = tuple(getattr(command, item.name) for item in FIELDS if not (item.varies or item.orders))
    return (command.last, command.depends, *same)


def _command_text(name: str, section: Section, indices: range, commands: Sequence[Command]) -> CommandText:
    fields, tables = [], []
    for item in FIELDS:
        values = tuple(getattr(command, item.name) for command in commands)
        if set(values) == {item.default}:
            continue
        if len(set(values)) == 1:
            fields.append(Assignment(item.name, _literal(values[0])))
        else:
            tables.append(RepeatTable(item.name, _type(item), tuple(map(int, values))))
    first = commands[0]
    which = f"Command {indices[0]}" + (f" + {section.period} * repeat" if section.count > 1 else "")
    steps = f"{first.load.name} -> {first.product.name} -> {first.drain.name} -> {first.target.name}".lower()
    return CommandText(name, f"{which}: {steps}", tuple(fields), tuple(tables), bool(first.last))


def _literal(value: int) -> str:
    if isinstance(value, IntEnum):
        return f"{type(value).__name__}::{value.name.lower()}"
    return str(value)


def _type(item: Field) -> str:
    """The C++ type of a field's values; addresses are signed, for the C++ adds to them."""
    if item.enum is not None:
        return item.enum.__name__
    if item.signed:
        return f"std::int{16 if item.bits <= 16 else 32}_t"
    for width in (8, 16):
        if item.bits <= width:
            return f"std::uint{width}_t"
    return "std::int32_t" if item.bits < 32 else "std::uint64_t"


def common_name(names: Sequence[str]) -> str:
    """One name for all: the numbers in which they differ are dropped; else the first."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({tuple(part[::2]) for part in parts}) > 1:
        return names[0]
    kept = [group[0] for group in zip(*parts, strict=True) if len(set(group)) == 1]
    return "".join(kept)


def identifier(text: str) -> str:
    """A C++ name made from any text; its first word keeps it from being a keyword or a macro."""
    name = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", text.lower()))[:80].strip("_")
    return f"command_{name}".rstrip("_")


def _unique(name: str, taken: set[str]) -> str:
    result = free_name(name, taken)
    taken.add(result)
    return result
