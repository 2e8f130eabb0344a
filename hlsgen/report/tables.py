# SPDX-License-Identifier: Apache-2.0
"""The tables of the report's page as text: they stand in the page itself and need no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlsgen.display.share import Share

MUCH_SATURATED = 0.01
"""Share of a tensor's elements beyond its range from which its row is marked."""
MEASURED = ("predicted", "measured", "of the image", "prediction is off by")


@dataclass(frozen=True)
class Table:
    """Titles of columns and cells; `marked` rows are shown as bad."""

    head: tuple[str, ...]
    rows: list[list[str]]
    marked: tuple[bool, ...] = ()


def tables(figures: Mapping[str, Any]) -> dict[str, Table]:
    """Every table of the page by its id, from the page's figures."""
    found = {
        "phases": _phases(figures),
        "moves": _moves(figures),
        "memories": _memories(figures),
        "regions": _regions(figures),
        "resources": _resources(figures),
        "tensors": _tensors(figures),
    }
    if figures["measured"]:
        found |= _measured(figures["measured"])
    if figures["experts"]:
        found |= _experts(figures["experts"])
    return found


def sections_line(figures: Mapping[str, Any]) -> str:
    """The parts of the Image and their bytes."""
    parts = [f"{name} {size:,} bytes" for name, size in figures["sections"].items()]
    return f"The Image in external memory: {', '.join(parts)}."


def placed_lines(figures: Mapping[str, Any]) -> list[str]:
    """A line for each bitstream that was built."""
    lines = []
    for built in figures["placed"]:
        clocks = [f"{name} {mhz} MHz" for name, mhz in built["clocks"].items()]
        cells = [f"{name} {used:,} of {have:,}" for name, (used, have) in built["cells"].items()]
        lines.append(f"{built['board']}, placed and routed: {', '.join(clocks)}; {', '.join(cells)}")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _phases(figures: Mapping[str, Any]) -> Table:
    """Cycles are those that were counted in RTL, where they were."""
    cycles, names = (
        figures["shown_cycles"],
        ("phase", "of the image", "steps", "busy", "bytes", "bytes/cycle"),
    )
    kind = "measured" if figures["measured"] else "predicted"
    head = (names[0], f"cycles, {kind}", *names[1:], "bound", "least")

    def row(name: str, taken: int, steps: int, read: int, bound: str, least: int) -> list[str]:
        busy, rate = (steps / taken, read / taken) if taken else (0.0, 0.0)
        share = _percent(taken / cycles)
        return [
            name,
            f"{taken:,}",
            share,
            f"{steps:,}",
            _percent(busy),
            f"{read:,}",
            f"{rate:.2f}",
            bound,
            f"{least:,}",
        ]

    rows = [
        row(p["name"], p["shown_cycles"], p["steps"], p["bytes"], p["bound"], p["least"])
        for p in figures["phases"]
    ]
    steps = sum(p["steps"] for p in figures["phases"])
    return Table(head, [*rows, row("all", cycles, steps, figures["bytes"], "", figures["least"])])


def _moves(figures: Mapping[str, Any]) -> Table:
    rows = [
        [m["name"], m["kind"], m["moved"], ", ".join(m["reader"]), f"{m['cycles']:,}",
         _percent(m["cycles"] / figures["cycles"])]
        for m in figures["moves"]
    ]  # fmt: skip
    return Table(("command", "kind", "of", "for", "cycles, predicted", "of the image"), rows)


def _memories(figures: Mapping[str, Any]) -> Table:
    rows = [
        [m["name"], *(f"{m[key]:,}" for key in ("count", "depth", "width")),
         f"{m['count'] * m['depth'] * m['width'] / 8192:.1f}", f"{m['blocks']:,}"]
        for m in figures["memories"]
    ]  # fmt: skip
    return Table(("memory", "copies", "words", "bits", "KiB", "RAM blocks"), rows)


def _regions(figures: Mapping[str, Any]) -> Table:
    rows = [
        [
            r["tensor"],
            r["memory"],
            f"{r['base']:,}",
            f"{r['base'] + r['words'] - 1:,}",
            str(r["first"]),
            str(r["last"]),
        ]
        for r in figures["regions"]
    ]
    return Table(("tensor", "memory", "first word", "last word", "written by command", "last read by"), rows)


def _resources(figures: Mapping[str, Any]) -> Table:
    found = figures["resources"]
    rows = [[r["name"], f"{r['used']:,}", f"{r['have']:,}", _percent(r["used"] / r["have"])] for r in found]
    marked = tuple(r["used"] > r["have"] for r in found)
    return Table(("resource", "estimate", "board", "share"), rows, marked)


def _tensors(figures: Mapping[str, Any]) -> Table:
    head = ("tensor", "op", "low", "high", "step", "bits", "saturated", "share", "noise, dB", "centred, dB")
    rows, marked = [], []
    for t in figures["tensors"]:
        share = t["saturated"] / t["elements"] if t["elements"] else 0.0
        step = "" if t["scale"] is None else f"{t['scale']:.3g}"
        rows.append(
            [t["name"], t["op"], f"{t['low']:.4g}", f"{t['high']:.4g}", step, str(t["bits"]),
             f"{t['saturated']:,}", f"{100 * share:.3f} %",
             _decibel(t.get("sqnr_db")), _decibel(t.get("centred_db"))]
        )  # fmt: skip
        marked.append(share > MUCH_SATURATED)
    return Table(head, rows, tuple(marked))


def _decibel(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _measured(measured: Mapping[str, Any]) -> dict[str, Table]:
    """What the RTL counted, beside the prediction."""
    predicted, counted = measured["cycles"]

    def row(name: str, before: int | None, after: int) -> list[str]:
        off = f"{100 * (before - after) / after:.2f} %" if before is not None and after else ""
        return [name, "" if before is None else f"{before:,}", f"{after:,}", _percent(after / counted), off]

    named = [(item["name"], item["predicted"], item["measured"]) for item in measured["reasons"]]
    phases = [(item["name"], item["predicted"], item["measured"]) for item in measured["phases"]]
    whole = row("whole image", predicted, counted)
    return {
        "measured": Table(("cycles", *MEASURED), [whole, *(row(*item) for item in named)]),
        "measured-phases": Table(("phase", *MEASURED), [row(*item) for item in phases]),
    }


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{_percent(share.value)}, {100 * low:.1f} to {100 * high:.1f}"


def _experts(experts: Mapping[str, Any]) -> dict[str, Table]:
    routing = [
        [r["name"], str(r["task"]), f"{r['tokens']:,}", f"{r['agreeing']:,}",
         _interval(Share(r["agreeing"], r["tokens"])), *(f"{r.get(key, 0):,}" for key in ("ties", "near")),
         f"{r.get('near_others', 0):,} of {r['tokens'] - r['agreeing']:,}",
         ", ".join(str(expert) for expert, tokens in enumerate(r["load"]) if not tokens)]
        for r in experts["calibration"]
    ]  # fmt: skip
    tasks = [
        [str(t["task"]), f"{t['cycles']:,}", f"{t['least']:,}", _percent(t["least"] / t["cycles"]),
         *(f"{t[key]:,}" for key in ("bytes", "unordered", "experts"))]
        for t in experts["tasks"]
    ]  # fmt: skip
    head = ("routing", "task", "tokens", "as float", "share", "ties", "near-ties", "of the others")
    head = (*head, "experts without tokens")
    costs = (
        "cycles",
        "least",
        "share",
        "bytes, expert by expert",
        "bytes, token by token",
        "of them experts",
    )
    return {"agreement": Table(head, routing), "tasks": Table(("task", *costs), tasks)}
