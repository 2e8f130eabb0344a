# SPDX-License-Identifier: Apache-2.0
"""The text of the HLS C++'s processes, of the FIFOs between them and of the function around them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from hlsgen.emit.hls_processes import TYPES, Process, processes
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.hls import Schedule

PORT = "Port<Beat<P>>"


@dataclass(frozen=True)
class ProcessText:
    """A process as the template prints it."""

    name: str
    type: str
    parameters: str
    arguments: str
    values: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    late: str
    outs: str
    """The FIFOs that it writes, each behind a comma."""
    latency: int


@dataclass(frozen=True)
class Channel:
    """A FIFO, and the process that writes it with its latency."""

    name: str
    type: str
    producer: str
    depth: int
    latency: int


@dataclass(frozen=True)
class Region:
    """The function around the processes."""

    parameters: str
    port_parameters: str
    port_members: str
    port_values: str


def channels(p: MachineParameters, schedule: Schedule) -> tuple[Channel, ...]:
    """The FIFOs of a machine, in the order of their producers."""
    return tuple(
        Channel(name, TYPES[name], process.name, schedule.depths[name], schedule.latencies[process.name])
        for process in processes(p)
        for name in process.writes
    )


def ports(p: MachineParameters) -> tuple[str, ...]:
    """The external memories in the order of the top function's arguments; the workspace is `memory`."""
    return ("image", "input", "output", *(("memory",) if p.streamed else ()))


def process_texts(p: MachineParameters, schedule: Schedule) -> tuple[ProcessText, ...]:
    """The processes as the template prints them."""
    return tuple(_text(process, schedule) for process in processes(p))


def _text(process: Process, schedule: Schedule) -> ProcessText:
    parameters = [f"{PORT} {name}" if name == process.port else _stream(name) for name in process.order]
    values = list(process.order)
    if process.before:
        parameters.append("const Run& run")
        values.append("run")
    if process.after:
        parameters.append("Ending& ending")
        values.append("ending")
    return ProcessText(
        name=process.name,
        type=process.type,
        parameters=_wrap(parameters, 0),
        arguments=_wrap(process.order, 12),
        values=_wrap(values, 4),
        before=process.before,
        after=process.after,
        late=process.late,
        outs="".join(f",\n                {name}" for name in process.writes),
        latency=schedule.latencies[process.name],
    )


def _wrap(items: Sequence[str], indent: int) -> str:
    """C++ arguments in lines that are short enough, from a call that is indented so far."""
    lines = textwrap.wrap(", ".join(items), 100 - indent, break_long_words=False)
    return f"\n{' ' * (indent + 8)}".join(lines) if len(lines) > 1 else "".join(lines)


def _stream(name: str) -> str:
    return f"Stream<{TYPES[name]}>& {name}"


def region(names: Sequence[str]) -> Region:
    """The function around the processes, whose ports have these names."""
    given = ", ".join(f"{PORT} {name}" for name in names)
    return Region(
        parameters=f"{given},\n              const Run& run, Ending& ending",
        port_parameters=",\n            ".join(f"{PORT} {name}_port" for name in names),
        port_members=", ".join(f"{name}({name}_port)" for name in names),
        port_values=", ".join(names),
    )
