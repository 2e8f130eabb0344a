# SPDX-License-Identifier: Apache-2.0
"""Paths through multiplier blocks, whose delay nextpnr does not know: what they leave for the block.

nextpnr checks no path that leads through such a block. Its file of delays has the wires and cells around it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

from hlsgen.errors import ToolFailed
from hlsgen.errors.codes import Code

Pin = tuple[str, str]
"""A cell and its pin."""
CELL = re.compile(r'\(CELLTYPE "([^"]+)"\)\s*\(INSTANCE ([^\s()]*)\s*\)')
WIRE = re.compile(r"\(INTERCONNECT (\S+)/(\S+) (\S+)/(\S+) \(\d+:\d+:(\d+)\) \(\d+:\d+:(\d+)\)\)")
PATH = re.compile(r"\(IOPATH (\S+) (\S+) \(\d+:\d+:(\d+)\) \(\d+:\d+:(\d+)\)\)")
SETUP = re.compile(r"\(SETUPHOLD \(\w+ (\S+)\) \(\w+ \S+\) \((?:-?\d+:){2}(-?\d+)\)")
CLOCKS = ("CLK", "CLKA", "CLKB")
MULTIPLIER = "MULT"


@dataclass
class Delays:
    """Of a placed design, in ps, the longest of each: wires to sinks, cells, clock to output, set-up."""

    wires: dict[Pin, tuple[Pin, int]] = field(default_factory=dict)
    cells: dict[Pin, list[tuple[Pin, int]]] = field(default_factory=lambda: defaultdict(list))
    """Output to the inputs that it depends on."""
    outputs: dict[Pin, int] = field(default_factory=dict)
    setups: dict[Pin, int] = field(default_factory=dict)
    multipliers: set[str] = field(default_factory=set)


def read_delays(path: Path) -> Delays:
    """The delays of an SDF file that nextpnr wrote."""
    found, cell = Delays(), ""
    text = path.read_text()
    for start, end in _cells(text):
        kind, cell = CELL.search(text, start).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if kind.startswith(MULTIPLIER):
            found.multipliers.add(cell)
        for source, out, sink, pin, *delays in WIRE.findall(text, start, end):
            found.wires[sink, pin] = (source, out), max(map(int, delays))
        for pin, out, *delays in PATH.findall(text, start, end):
            delay = max(map(int, delays))
            if pin in CLOCKS:
                found.outputs[cell, out] = delay
            else:
                found.cells[cell, out].append(((cell, pin), delay))
        for pin, delay in SETUP.findall(text, start, end):
            found.setups[cell, pin] = max(int(delay), found.setups.get((cell, pin), 0))
    return found


def _cells(text: str) -> list[tuple[int, int]]:
    starts = [match.start() for match in re.finditer(r"\(CELL\b", text)]
    return list(zip(starts, [*starts, len(text)][1:], strict=True))


def outside(delays: Delays) -> dict[str, int]:
    """Multiplier block to the ps that the longest path through it takes outside of it.

    A path through two blocks counts for each of them, up to and from the other one.
    """
    order = list(TopologicalSorter(_before(delays)).static_order())
    arrival: dict[Pin, int] = {}
    for pin in order:
        came = [
            arrival.get(source, 0) + wire + delay
            for inside, delay in delays.cells.get(pin, ())
            for source, wire in [delays.wires.get(inside, (("", ""), 0))]
        ]
        arrival[pin] = max([*came, delays.outputs.get(pin, 0)])
    leaves = _leaves(delays, order)
    before: dict[str, int] = defaultdict(int)
    after: dict[str, int] = defaultdict(int)
    for (cell, _), (source, wire) in delays.wires.items():
        if cell in delays.multipliers:
            before[cell] = max(before[cell], arrival.get(source, 0) + wire)
    for (cell, _), left in leaves.items():
        if cell in delays.multipliers:
            after[cell] = max(after[cell], left)
    return {cell: before[cell] + after[cell] for cell in sorted(delays.multipliers)}


def _before(delays: Delays) -> dict[Pin, set[Pin]]:
    """Output to the outputs that it comes from, through one cell."""
    graph: dict[Pin, set[Pin]] = {source: set() for source, _ in delays.wires.values()}
    for pin, inputs in delays.cells.items():
        graph[pin] = {delays.wires[inside][0] for inside, _ in inputs if inside in delays.wires}
    return graph


def _leaves(delays: Delays, order: list[Pin]) -> dict[Pin, int]:
    """Output to the ps from it to the register that the signal reaches last, set-up included."""
    through: dict[Pin, list[tuple[Pin, int]]] = defaultdict(list)
    for pin, inputs in delays.cells.items():
        for inside, delay in inputs:
            through[inside].append((pin, delay))
    sinks: dict[Pin, list[tuple[Pin, int]]] = defaultdict(list)
    for sink, (source, wire) in delays.wires.items():
        sinks[source].append((sink, wire))
    leaves: dict[Pin, int] = {}
    for pin in reversed(order):
        ways = [0]
        for sink, wire in sinks[pin]:
            ways.append(wire + delays.setups.get(sink, 0))
            ways += [wire + delay + leaves[out] for out, delay in through[sink]]
        leaves[pin] = max(ways)
    return leaves


def multiplier_note(folder: Path) -> tuple[str, ...]:
    """What a built project's paths leave for its multiplier blocks; raises `ToolFailed` if it is nothing."""
    delays = read_delays(folder / "build/delays.sdf")
    paths = outside(delays)
    if not paths:
        return ()
    clocks = json.loads((folder / "build/report.json").read_text())["fmax"].values()
    period = 1e3 / max(clock["constraint"] for clock in clocks)
    longest = max(paths.values()) / 1e3
    text = (
        f"{len(paths)} multiplier blocks: paths through them take up to {longest:.1f} ns outside, "
        f"which leaves {period - longest:.1f} ns of {period:.1f} ns for the block; "
        "nextpnr knows no delay of it"
    )
    if longest >= period:
        raise ToolFailed(
            text, ["make", "-C", str(folder), "bitstream"], "", fix="try other seeds", code=Code.TIMING
        )
    return (text,)
