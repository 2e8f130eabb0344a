# SPDX-License-Identifier: Apache-2.0
"""The processes of the HLS C++ and the FIFOs between them: those that a machine's parameters ask for."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.hls import Schedule

PORT = "Port<Beat<P>>"


@dataclass(frozen=True)
class Process:
    """A process: its class, what an iteration is given in order, what it is set to and what it leaves.

    reads, writes: names of FIFOs. port: the external memory that it owns.
    """

    name: str
    type: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    port: str = ""
    order: tuple[str, ...] = ()
    """The arguments of `tick`, the FIFOs and the port; all names of `reads`, `writes` and `port`."""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    late: str = "false"
    """Whether the next iteration would wait for external memory, as C++."""


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


TYPES = {
    "loads": "Work",
    "adds": "Work",
    "multiplies": "Work",
    "drains": "Work",
    "constant_jobs": "ConstantsJob",
    "constant_words": "Bytes<constant_bytes<P>>",
    "weights": "Bytes<P::depth * P::columns>",
    "image_addends": "Bytes<2 * P::columns>",
    "pixel_words": "Bytes<P::columns>",
    "constant_blocks": "ConstantWord<P>",
    "tables": "TableWord",
    "raws": "Raw<P>",
    "scale_requests": "ScaleRequest",
    "norm_scales": "NormScale",
    "context_scales": "RowScale",
    "tiles": "TileWord<P>",
    "slots": "Token",
    "sums": "SumsRow<P>",
    "sums_taken": "Token",
    "stores": "Store<P>",
    "operands": "Operand<P>",
    "stored": "Operand<P>",
    "addends": "Word<P>",
    "outputs": "Word<P>",
    "logits": "Logits<P>",
    "logits_taken": "Token",
    "load_entries": "QueueEntry",
    "drain_entries": "QueueEntry",
    "sequence_counts": "Counts<P>",
    "fetch_counts": "Counts<P>",
    "readings": "Work",
    "closed": "Work",
}
"""The words of each FIFO."""


def processes(p: MachineParameters) -> tuple[Process, ...]:
    """The processes of a machine."""
    experts, streamed = p.experts > 0, p.streamed
    results = "stored" if streamed else "operands"

    def only(wanted: bool, *names: str) -> tuple[str, ...]:
        return names if wanted else ()

    found = [
        _process(
            "fetch",
            "Fetch<P, Program>",
            ("image",),
            ("constant_jobs", "constant_words", "weights", "image_addends"),
            only(experts, "fetch_counts"),
            before=("base = run.sections;", "walk.task = run.task;"),
            late="fetch.takes() && image.late()",
        ),
        _process(
            "pixels",
            "Pixels<P>",
            ("input",),
            ("pixel_words",),
            before=("words = run.input_words;",),
            late="pixels.takes() && input.late()",
        ),
        _process(
            "sequence",
            "Sequence<P, Program>",
            (),
            ("loads", "adds", "multiplies", "drains", *only(streamed, "readings")),
            only(experts, "sequence_counts"),
            before=("walk.task = run.task;",),
        ),
        _process(
            "constants",
            "Constants<P>",
            ("constant_jobs", "constant_words"),
            ("constant_blocks", "tables"),
            after=("ending.bad_constants = self.bad;",),
        ),
        _process(
            "load",
            "LoadStage<P>",
            ("loads", "adds", "stores", "slots", "pixel_words", "tables"),
            ("raws", "scale_requests", "addends"),
            only(experts, "load_entries"),
            before=("input_words = run.input_words;",),
        ),
        _process("scale", "Scale", ("scale_requests",), ("norm_scales", "context_scales")),
        _process("normalise", "Normalise<P>", ("raws", "norm_scales"), ("tiles",)),
        _process(
            "multiply",
            "MultiplyStage<P>",
            ("multiplies", "tiles", "weights", "operands", "sums_taken"),
            ("slots", "sums", *only(streamed, "closed")),
        ),
        _process(
            "drain",
            "DrainStage<P>",
            ("drains", "sums", "constant_blocks", "context_scales", "addends", "image_addends"),
            (
                "stores",
                "sums_taken",
                results,
                "outputs",
                *only(experts, "logits"),
            ),
            only(experts, "drain_entries", "logits_taken"),
        ),
    ]
    if experts:
        copies = tuple(f"ending.tokens[{e}] = self.tokens[{e}];" for e in range(p.experts))
        outs = ("load_entries", "drain_entries", "sequence_counts", "fetch_counts", "logits_taken")
        found.append(_process("route", "Route<P>", ("logits",), outs, after=copies))
    if streamed:
        late = "((workspace.takes() && memory.late()) || (workspace.answers() && memory.unanswered()))"
        reads = ("memory", "readings", "closed", "stored")
        found.append(_process("workspace", "Workspace<P>", reads, ("operands",), late=late))
    late = "results.answers() && output.unanswered()"
    found.append(_process("results", "Output<P>", ("output", "outputs"), (), late=late))
    return tuple(found)


def _process(
    name: str,
    cls: str,
    reads: tuple[str, ...],
    writes: tuple[str, ...],
    more: tuple[str, ...] = (),
    *,
    before: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    late: str = "false",
) -> Process:
    """A process whose `tick` takes its port, what it reads, what it writes and `more` that it reads."""
    port = next((item for item in reads if item not in TYPES), "")
    fifos = tuple(item for item in (*reads, *more) if item in TYPES)
    return Process(name, cls, fifos, writes, port, (*reads, *writes, *more), before, after, late)


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
