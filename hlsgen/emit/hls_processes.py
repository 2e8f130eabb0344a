# SPDX-License-Identifier: Apache-2.0
"""The processes of the HLS C++ and the FIFOs between them: those that a machine's parameters ask for."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.machine.format.parameters import MachineParameters


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
    "key_lists": "TableWord",
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
    return (*_sources(p), *_stages(p), *_others(p))


def _only(wanted: bool, *names: str) -> tuple[str, ...]:
    return names if wanted else ()


def _sources(p: MachineParameters) -> tuple[Process, ...]:
    """What reads the Image, the input and the commands."""
    experts = p.experts > 0
    return (
        _process(
            "fetch",
            "Fetch<P, Program>",
            ("image",),
            ("constant_jobs", "constant_words", "weights", "image_addends"),
            _only(experts, "fetch_counts"),
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
            ("loads", "adds", "multiplies", "drains", *_only(p.streamed, "readings")),
            _only(experts, "sequence_counts"),
            before=("walk.task = run.task;",),
        ),
        _process(
            "constants",
            "Constants<P>",
            ("constant_jobs", "constant_words"),
            ("constant_blocks", "tables", *_only(p.key_list_words > 0, "key_lists")),
            after=("ending.bad_constants = self.bad;",),
        ),
    )


def _stages(p: MachineParameters) -> tuple[Process, ...]:
    """LOAD with its scales and norms, MULTIPLY and DRAIN."""
    experts, results = p.experts > 0, "stored" if p.streamed else "operands"
    return (
        _process(
            "load",
            "LoadStage<P>",
            ("loads", "adds", "stores", "slots", "pixel_words", "tables"),
            ("raws", "scale_requests", "addends"),
            _only(experts, "load_entries"),
            before=("input_words = run.input_words;",),
        ),
        _process("scale", "Scale", ("scale_requests",), ("norm_scales", "context_scales")),
        _process("normalise", "Normalise<P>", ("raws", "norm_scales"), ("tiles",)),
        _process(
            "multiply",
            "MultiplyStage<P>",
            ("multiplies", "tiles", "weights", "operands", "sums_taken"),
            ("slots", "sums", *_only(p.streamed, "closed")),
            _only(p.key_list_words > 0, "key_lists"),
        ),
        _process(
            "drain",
            "DrainStage<P>",
            ("drains", "sums", "constant_blocks", "context_scales", "addends", "image_addends"),
            ("stores", "sums_taken", results, "outputs", *_only(experts, "logits")),
            _only(experts, "drain_entries", "logits_taken"),
        ),
    )


def _others(p: MachineParameters) -> tuple[Process, ...]:
    """ROUTE, the workspace and the output."""
    found = []
    if p.experts > 0:
        copies = tuple(f"ending.tokens[{e}] = self.tokens[{e}];" for e in range(p.experts))
        outs = ("load_entries", "drain_entries", "sequence_counts", "fetch_counts", "logits_taken")
        found.append(_process("route", "Route<P>", ("logits",), outs, after=copies))
    if p.streamed:
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
