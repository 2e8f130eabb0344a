# SPDX-License-Identifier: Apache-2.0
"""Results as text: one line each for a terminal, tables for docs/benchmarks.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.case import Result
from benchmarks.cases import MOE_PEERS, PEERS, Bar
from benchmarks.timing.size import PEERS as SIZE_PEERS

HEADER = """# Benchmarks

Written by `python -m benchmarks --write`; `python -m benchmarks MODEL --array RxCxD --memory BYTES` measures
any other case. One image at a time. Cycles are counted by the RTL, in Verilator, from the start register to
done, under a memory of the given width with 64 cycles of latency and bursts of 16 beats or 256 bytes. Useful
is the share of multiply-accumulates of the mathematical model, at its true token count, in cycles times
multipliers: padding, fills, drains, nonlinear functions and waiting all count as loss. Every traced tensor of
every run equals the golden model's. The weights of all models but digits are seeded random numbers, so these
figures are about time, not about accuracy.
"""

LOSSES = """Padding is what rows, keys and columns beyond the model's take. A phase's lost cycles are those
up to its last result in which the array issued no step."""
EFFORT = """Seconds are wall time on the machine that wrote this page: 2 cores, shared with other work, so
they are upper bounds. A simulator is built once for each machine shape; 0 means that it was there."""
EXPERTS = """M³ViT-Tiny: 129 tokens, 6 of 12 layers with 16 experts of which a token uses 2. The roofline is
the least that steps of the array, padding included, and bytes of memory take, phase by phase: which experts
are used is known only after routing, so their weights cannot come during the attention before. Every byte of
the Image that is needed is read once."""
BLOCKS = """Per cycle and DSP: useful multiply-accumulates per cycle and DSP48E2 block, of all blocks that
Yosys makes of the whole accelerator; `python -m benchmarks.dsp MODEL` says where they are. Such a machine has
the multipliers of Xilinx devices in its RTL, the others plain products."""
SIZE = """Tables (LUT) and DSP48E2 blocks of whole accelerators: ours as Yosys maps them to UltraScale+, the
published ones on a ZCU102, which has 274,080 tables and 2,520 blocks. A product a cycle is one that the array
could start; a useful one is one of the model's."""
OTHERS = """Published figures, counted the same way where the paper allows it. They are of boards, ours are of
simulation."""


def line(result: Result) -> str:
    """One result for a terminal."""
    case = result.case
    lost = ", ".join(f"{phase.name} {phase.lost:,}" for phase in result.phases if phase.lost)
    padding = result.multiply - result.ideal
    lines = [
        f"{case.model}, {result.tokens} tokens, {case.array_text}, {case.memory} bytes/cycle: ",
        f"{result.cycles:,} cycles, {result.useful:.2%} useful; predicted {result.predicted:,} ",
        f"({result.model_error:+.3%}); {result.tensors} tensors equal\n",
        *_expert_lines(result),
        *_block_lines(result),
        f"  padding {padding:,.0f} cycles; waiting: {lost or 'none'}\n",
        "  seconds: " + ", ".join(f"{name} {value}" for name, value in result.seconds.items()),
    ]
    return "".join(lines)


def _expert_lines(result: Result) -> list[str]:
    """A mixture of experts: task, experts, bytes, roofline."""
    if not result.used:
        return []
    return [
        f"  task {result.case.task}, experts used {', '.join(map(str, result.used))}; ",
        f"read {result.read_bytes:,} bytes, each part once: {result.least_bytes:,}; ",
        f"{result.roofline:.2%} of the roofline of {result.least_cycles:,.0f} cycles, ",
        f"{result.bandwidth:.2%} of the bandwidth\n",
    ]


def _block_lines(result: Result) -> list[str]:
    """Number of DSP48E2 blocks of a case, and the useful products of each per cycle; empty if not counted."""
    if not result.blocks:
        return []
    return [
        f"  {result.blocks} DSP48E2 blocks, ",
        f"{result.useful_per_block:.3f} useful products per cycle and block\n",
    ]


def _per_block(result: Result) -> str:
    return f"{result.useful_per_block:.2f} ({result.blocks})" if result.blocks else ""


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "\n".join([_row(*head), _row(*["---"] * len(head)), *(_row(*row) for row in rows)])


def _cycles(results: Sequence[tuple[Result, Bar]]) -> str:
    head = [
        "model",
        "tokens",
        "array",
        "row width",
        "memory, bytes/cycle",
        "cycles",
        "predicted",
        "useful",
        "per cycle and DSP (blocks)",
        "bar",
    ]
    rows = []
    for result, bar in results:
        case = result.case
        met = f"{bar} {'met' if bar.met(result) else 'missed'}" if str(bar) else ""
        rows.append(
            [
                case.model, result.tokens, case.array_text, case.row_width, case.memory,
                f"{result.cycles:,}", f"{result.predicted:,} ({result.model_error:+.2%})",
                f"**{result.useful:.2%}**", _per_block(result), met,
            ]
        )  # fmt: skip
    return _table(head, rows)


def _size(results: Sequence[tuple[Result, Bar]]) -> str:
    """Tables and blocks, beside what others take."""
    head = ["who", "LUT", "DSP", "LUT per DSP", "LUT per product a cycle", "LUT per useful product a cycle"]
    rows: list[Sequence[object]] = []
    for result, _ in results:
        if result.size:
            lut, dsp = result.size.lut, result.size.dsp
            rate = result.macs / result.cycles
            name = f"hlsgen, {result.case.model} {result.case.array_text} @{result.case.memory}"
            each = [f"{lut / part:.1f}" for part in (dsp, result.size.macs, rate)]
            rows.append([name, f"{lut:,}", f"{dsp:,}", *each, "simulation"])
    rates = {peer.name: peer.macs_per_block for peer in MOE_PEERS}
    for peer in SIZE_PEERS:
        useful = f"{peer.lut / (rates[peer.name] * peer.dsp):.0f}"
        each = [f"{peer.lut / peer.dsp:.1f}", "", useful]
        rows.append([peer.name, f"{peer.lut:,}", f"{peer.dsp:,}", *each, peer.source])
    return _table([*head, "source"], rows)


def _losses(results: Sequence[tuple[Result, Bar]]) -> str:
    names = list(dict.fromkeys(phase.name for result, _ in results for phase in result.phases))
    rows = []
    for result, _ in results:
        lost = {phase.name: f"{phase.lost:,}" for phase in result.phases}
        padding = f"{result.multiply - result.ideal:,.0f}"
        rows.append(
            [f"{result.case.model} {result.case.array_text} @{result.case.memory}", padding]
            + [lost.get(name, "") for name in names]
        )
    return _table(["cycles lost", "padding", *names], rows)


def _effort(results: Sequence[tuple[Result, Bar]]) -> str:
    head = ["run", "read, MB", "written, kB", "golden, s", "simulator built, s", "RTL, s", "peak memory, MiB"]
    rows = [
        [
            f"{result.case.model} {result.case.array_text} @{result.case.memory}",
            f"{result.read_bytes / 1e6:.2f}", f"{result.written_bytes / 1e3:.1f}",
            result.seconds["golden"], result.seconds["build"], result.seconds["rtl"], result.peak_memory,
        ]
        for result, _ in results
    ]  # fmt: skip
    return _table(head, rows)


def _experts(results: Sequence[tuple[Result, Bar]]) -> str:
    """M³ViT-Tiny, beside the accelerators that others have written for it."""
    head = ["who", "array @ memory", "task", "experts used", "cycles", "read, MB"]
    head += ["of the roofline", "of the bandwidth", "per cycle and DSP (blocks)", "source"]
    rows = [_expert_row(result) for result, _ in results if result.used]
    for peer in MOE_PEERS:
        figures = [f"{peer.cycles:,}", peer.megabytes, "", "", peer.macs_per_block]
        rows.append([peer.name, "ZCU102", "", "", *figures, peer.source])
    return _table(head, rows)


def _expert_row(result: Result) -> list[object]:
    case, used = result.case, sorted({min(result.used), max(result.used)})
    return [
        "hlsgen, every expert used" if case.model.endswith("even") else "hlsgen",
        f"{case.array_text} @{case.memory}",
        case.task,
        " to ".join(map(str, used)),
        f"{result.cycles:,}",
        f"{result.read_bytes / 1e6:.2f}",
        f"{result.roofline:.1%}",
        f"{result.bandwidth:.1%}",
        _per_block(result),
        "simulation",
    ]


def page(results: Sequence[tuple[Result, Bar]]) -> str:
    """The text of docs/benchmarks.md."""
    peers = _table(
        ["who", "model", "useful share of the multipliers", "source"],
        [[peer.name, peer.model, peer.useful, peer.source] for peer in PEERS],
    )
    parts = [
        HEADER.rstrip(),
        "## Cycles",
        _cycles(results),
        BLOCKS,
        "## Size",
        SIZE,
        _size(results),
        "## Where the rest went",
        LOSSES,
        _losses(results),
        "## Bytes and effort",
        EFFORT,
        _effort(results),
        "## Mixtures of experts",
        EXPERTS,
        _experts(results),
        "## Others",
        OTHERS,
        peers,
    ]
    return "\n\n".join(parts) + "\n"


def data(result: Result) -> dict[str, Any]:
    """One result, ready for JSON."""
    shares = ("useful", "model_error", "roofline", "bandwidth", "useful_per_block")
    return dataclasses.asdict(result) | {name: getattr(result, name) for name in shares}
