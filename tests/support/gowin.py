# SPDX-License-Identifier: Apache-2.0
"""Components mapped to Gowin's cells by the shipped script, and simulated beside their RTL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from amaranth.lib import wiring

from hlsgen.emit.gowin.project import synthesis_scripts
from hlsgen.emit.rtl import convert
from hlsgen.rtl.arith.multiplier import Multiplier, WideMultiplier
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.parts.memories import LaneMemory, Table, WordMemory
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.sim.netlist import Netlist, read_netlist
from hlsgen.sim.netlist_gowin import GOWIN
from support.components import SMALL
from support.netlist_bench import Group, Records, differences, synthesise

CYCLES = 2000
Cases = Mapping[str, Callable[[], wiring.Component]]
EACH_CELL: Cases = {
    "words": lambda: WordMemory(36, 512),
    "words_long": lambda: WordMemory(8, 2048),
    "words_few": lambda: WordMemory(19, 32),
    "lanes": lambda: LaneMemory(lanes=2, columns=4, depth=8, words=64, block=True),
    "table": lambda: Table(2, 256),
    "queue": lambda: Queue(36, 4),
    "ring": lambda: Ring(64, 32, block=True),
    "multiplier": lambda: Multiplier(18, 18, latency=3),
    "wide_multiplier": WideMultiplier,
    "array": lambda: Array(SMALL),
}
"""A few components whose netlist has every kind of cell that a board's has, see `CELLS`."""
OLD_WORD = "`define HLSGEN_OLD_WORD\n"
"""Noise reads words while it writes them; the components then give the old word."""
CELLS = ("LUT4", "ALU", "DFF", "DFFE", "DFFRE", "MUX2_LUT5", "RAM16SDP4", "SDPX9B", "MULT9X9", "MULT18X18")


def compared(cases: Cases, folder: Path) -> tuple[dict[str, int], Netlist]:
    """What differs from the RTL, see `differences`; and the netlist. `folder` must be the current one."""
    group = Group({case: make() for case, make in cases.items()})
    return compared_text(convert(group, "group"), group, folder)


def compared_text(text: str, ports: Group | Records, folder: Path) -> tuple[dict[str, int], Netlist]:
    """As `compared`, of Verilog with a module `group`."""
    document = synthesise(text, "group", folder, synthesis_scripts)
    netlist = read_netlist(document, "group", "net", GOWIN)
    wrong = differences(ports, netlist, OLD_WORD + text, folder, cycles=CYCLES)
    return wrong, netlist
