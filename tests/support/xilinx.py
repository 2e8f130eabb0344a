# SPDX-License-Identifier: Apache-2.0
"""The components of `support.components`, mapped to UltraScale+ and simulated beside their RTL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from amaranth.lib import wiring

from benchmarks.mapped import map_netlist
from hlsgen.emit.rtl import convert
from hlsgen.rtl.arith.multiplier import Multiplier, WideMultiplier
from hlsgen.rtl.arith.reciprocal import Reciprocal
from hlsgen.rtl.array import array
from hlsgen.rtl.array.array import Array
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.parts.memories import LaneMemory, Table, WordMemory
from hlsgen.rtl.parts.queues import Queue, Ring
from hlsgen.rtl.parts.resize import Resize
from hlsgen.sim.netlist import Netlist, read_netlist
from hlsgen.sim.netlist_xilinx import XILINX
from support.components import PLAIN
from support.netlist_bench import Group, Records, differences

CYCLES = 2000
Cases = Mapping[str, Callable[[], wiring.Component]]
EACH_CELL: Cases = {
    "words": lambda: WordMemory(36, 512),
    "words_wide": lambda: WordMemory(72, 512),
    "words_few": lambda: WordMemory(19, 64),
    "lanes": lambda: LaneMemory(lanes=2, columns=4, depth=8, words=64, block=True),
    "table": lambda: Table(2, 256, block=True),
    "table_small": lambda: Table(2, 256),
    "queue": lambda: Queue(36, 4),
    "ring": lambda: Ring(64, 32, block=True),
    "resize": lambda: Resize(16, 64),
    "multiplier": lambda: Multiplier(18, 18, latency=3),
    "wide_multiplier": WideMultiplier,
    "reciprocal": Reciprocal,
    "requantize": lambda: Requantize(1, 20),
    "array": lambda: Array(PLAIN, style="xilinx_packed"),
}
"""A few components whose netlist has every kind of cell that netlists have, see `CELLS`."""
CELLS = ("LUT6", "FDRE", "FDSE", "CARRY4", "SRL16E", "RAM32M16", "RAM64M8", "RAMB18E2", "RAMB36E2", "DSP48E2")


def plain_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components made for an ECP5's multipliers multiply as on any other device."""
    monkeypatch.setattr(Multiplier, "_block", Multiplier._plain)
    monkeypatch.setitem(array.DOTS, "ecp5", array.DOTS["plain"])
    monkeypatch.setitem(array.DOTS, "ecp5_packed", array.DOTS["xilinx_packed"])


def compared(cases: Cases, folder: Path) -> tuple[dict[str, int], Netlist]:
    """What differs from the RTL, see `differences`; and the netlist. `folder` must be the current one."""
    group = Group({case: make() for case, make in cases.items()})
    return compared_text(convert(group, "group"), group, folder)


def compared_text(text: str, ports: Group | Records, folder: Path) -> tuple[dict[str, int], Netlist]:
    """As `compared`, of Verilog with a module `group`."""
    netlist = read_netlist(map_netlist(text, "group", Path("yosys")), "group", "net", XILINX)
    return differences(ports, netlist, text, folder, cycles=CYCLES), netlist
