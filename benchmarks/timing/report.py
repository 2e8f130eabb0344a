# SPDX-License-Identifier: Apache-2.0
"""What the paths of a netlist say: the clock, levels, the deepest groups, and the widest nets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.timing.cells import BLOCK_RAMS, DSP
from benchmarks.timing.delays import Delays
from benchmarks.timing.names import Place, place
from benchmarks.timing.netlist import Netlist
from benchmarks.timing.paths import Endpoint, Paths
from benchmarks.timing.size import PEERS, Size

GOAL_NS = 10 / 3
"""300 MHz."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Paths from the registers of one module to those of another; what is told is the slowest of them."""

    ns: float
    luts: int
    carries: int
    ends: int
    start: Place
    end: Place
    pin: str
    loads: int
    """Inputs that the path's last net drives."""

    def __str__(self) -> str:
        levels = f"{self.luts}+{self.carries}" if self.carries else f"{self.luts}"
        return (
            f"{self.ns:6.2f} {levels:>6} {self.ends:6}  {self.start.module} [{self.start.name}] -> "
            f"{self.end.module} [{self.end.name} {self.pin}], {self.loads} loads"
        )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A netlist by one set of delays. levels: tables on the slowest path to an end, to the number of ends."""

    delays: Delays
    ns: float
    ends: int
    slow: int
    """Ends slower than `GOAL_NS`."""
    levels: dict[int, int]
    groups: tuple[Group, ...]

    @property
    def mhz(self) -> float:
        return 1000 / self.ns

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "set": self.delays.name,
            "source": self.delays.source,
            "ns": round(self.ns, 3),
            "mhz": round(self.mhz, 1),
            "ends": self.ends,
            "ends_over_3.33_ns": self.slow,
            "levels": self.levels,
            "groups": [asdict(group) for group in self.groups],
        }

    def lines(self) -> Iterator[str]:
        """As text."""
        yield (
            f"{self.delays.name}: {self.ns:.2f} ns, {self.mhz:.0f} MHz; "
            f"{self.slow:,} of {self.ends:,} ends slower than {GOAL_NS:.2f} ns"
        )
        yield f"  delays: {self.delays.source}"
        yield "  ends by LUT levels: " + ", ".join(f"{level}: {n:,}" for level, n in self.levels.items())
        yield "    ns LUT+carry  ends  from [register] -> to [register pin]"
        yield from map(str, self.groups)


def timing(paths: Paths, delays: Delays, top: int) -> Timing:
    """The netlist by a set of delays, with the `top` slowest groups."""
    ends = paths.endpoints(delays)
    return Timing(
        delays=delays,
        ns=ends[0].time if ends else 0.0,
        ends=len(ends),
        slow=sum(end.time > GOAL_NS for end in ends),
        levels=dict(sorted(Counter(end.arrival.luts for end in ends).items())),
        groups=tuple(_groups(paths.netlist, ends))[:top],
    )


def _groups(netlist: Netlist, ends: Sequence[Endpoint]) -> Iterator[Group]:
    """The slowest first."""
    found: dict[tuple[str, str], list[Endpoint]] = {}
    for end in ends:
        start = place(netlist, netlist.drivers[end.arrival.start].cell)
        found.setdefault((start.module, place(netlist, end.pin.cell).module), []).append(end)
    for members in found.values():
        end = members[0]
        yield Group(
            ns=round(end.time, 3),
            luts=end.arrival.luts,
            carries=end.arrival.carries,
            ends=len(members),
            start=place(netlist, netlist.drivers[end.arrival.start].cell),
            end=place(netlist, end.pin.cell),
            pin=end.pin.name,
            loads=len(netlist.loads[end.net]),
        )


@dataclass(frozen=True, kw_only=True)
class Registered:
    """Blocks whose registers Vivado can take from around them, and all blocks."""

    operands: int
    dsp_results: int
    dsp: int
    ram_results: int
    ram: int


def registered(paths: Paths) -> Registered:
    """How many blocks have registers around them. operands: DSP48E2 with one before A and one before B."""
    cells, found = paths.netlist.cells, paths.absorbed
    dsp = [name for name, cell in cells.items() if cell.type == DSP]
    ram = [name for name, cell in cells.items() if cell.type in BLOCK_RAMS]
    return Registered(
        operands=sum((name, "A") in found.operands and (name, "B") in found.operands for name in dsp),
        dsp_results=sum(name in found.results for name in dsp),
        dsp=len(dsp),
        ram_results=sum(name in found.results for name in ram),
        ram=len(ram),
    )


def widest(netlist: Netlist, top: int) -> list[tuple[int, str]]:
    """Nets with the most loads, without clocks: loads and name."""
    clocks = {
        net
        for cell in netlist.cells.values()
        for pin in ("C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK")
        for net in cell.nets(pin)
    }
    nets = sorted(
        (-len(loads), netlist.label(net)) for net, loads in netlist.loads.items() if net not in clocks
    )
    return [(-loads, name) for loads, name in nets[:top]]


def size_lines(size: Size) -> Iterator[str]:
    """As text, beside published accelerators."""
    yield (
        f"LUT {size.lut:,} (logic {size.logic:,}, LUT RAM {size.lut_ram:,}, SRL {size.shift:,}), "
        f"FF {size.ff:,}, CARRY4 {size.carry:,}, DSP48E2 {size.dsp:,}, "
        f"block RAM {size.ram_blocks:,} of 18 kbit"
    )
    for name, lut, dsp, where in (
        ("this", size.lut, size.dsp, f"{size.lut / size.macs:.1f} LUT per product a cycle"),
        *((peer.name, peer.lut, peer.dsp, peer.source) for peer in PEERS),
    ):
        each = f"{lut / dsp:.1f}" if dsp else "no"
        yield f"  {name:8} {lut:8,} LUT {dsp:6,} DSP {each:>6} LUT per DSP  {where}"
