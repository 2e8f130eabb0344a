# SPDX-License-Identifier: Apache-2.0
"""The slowest path to every register of a netlist, by a set of delays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from benchmarks.timing.absorb import Absorbed, absorbed
from benchmarks.timing.cells import (
    BLOCK_RAMS,
    BUFFERS,
    CARRIES,
    DSP,
    DSP_OPERANDS,
    FLIP_FLOPS,
    LUT_RAMS,
    MUXES,
    SHIFTS,
    Arc,
    Cell,
    End,
    Pin,
    arcs,
    ends,
    is_lut,
    outputs,
)
from benchmarks.timing.delays import Delays
from benchmarks.timing.netlist import Netlist
from hlsgen.errors import UsageError


class Arrival(NamedTuple):
    """At a driver's output: ns after the clock, tables and carry cells on the way, where it began, before."""

    time: float
    luts: int
    carries: int
    start: int
    before: int | None


class Endpoint(NamedTuple):
    """The slowest path into a pin, its set-up included; `net` is the last net of it."""

    time: float
    arrival: Arrival
    net: int
    pin: Pin


@dataclass(frozen=True)
class Paths:
    """The paths of a netlist."""

    netlist: Netlist

    @cached_property
    def absorbed(self) -> Absorbed:
        return absorbed(self.netlist)

    @cached_property
    def order(self) -> Sequence[int]:
        """All driven nets, each after those that it depends on without a clock; a loop is refused."""
        done: dict[int, bool] = {}
        order: list[int] = []
        for root in self.netlist.drivers:
            stack: list[tuple[int, Iterator[int]]] = []
            if root not in done:
                done[root] = False
                stack.append((root, self._sources(root)))
            while stack:
                net, sources = stack[-1]
                for source in sources:
                    if source not in done:
                        done[source] = False
                        stack.append((source, self._sources(source)))
                        break
                    if not done[source]:
                        raise self._loop([net for net, _ in stack], source)
                else:
                    done[net] = True
                    order.append(net)
                    stack.pop()
        return order

    @cached_property
    def fan_in(self) -> Mapping[int, list[tuple[int, Pin, Arc]]]:
        """Net to what it depends on without a clock: the net, the pin that reads it, and the arc."""
        found = {}
        for net, driver in self.netlist.drivers.items():
            cell = self.netlist.cells[driver.cell]
            found[net] = [
                (source, Pin(cell.name, arc.pin, arc.bit), arc)
                for arc in self._arcs(cell, driver)
                if isinstance(source := _net(cell, arc.pin, arc.bit), int)
            ]
        return found

    @cached_property
    def launches(self) -> Mapping[int, tuple[str, ...]]:
        """Net at which paths begin, to the delays from the clock to it."""
        return {
            net: delays
            for net, driver in self.netlist.drivers.items()
            if (delays := self._launch(self.netlist.cells[driver.cell])) is not None
        }

    @cached_property
    def ends(self) -> Sequence[tuple[int, Pin, End]]:
        """Where paths end, without flip-flops that lie in the block before them."""
        found = []
        for cell in self.netlist.cells.values():
            for end in self._dsp_ends(cell) if cell.type == DSP else ends(cell):
                net = _net(cell, end.pin, end.bit)
                if isinstance(net, int) and not self._inside(net, end):
                    found.append((net, Pin(cell.name, end.pin, end.bit), end))
        return found

    def arrivals(self, delays: Delays) -> Mapping[int, Arrival]:
        """Net to the slowest way to it from a register; nothing for what only inputs and constants reach."""
        found: dict[int, Arrival] = {}
        for net in self.order:
            best = None
            launch = self.launches.get(net)
            if launch is not None:
                best = Arrival(_sum(delays, launch), 0, 0, net, None)
            for source, pin, arc in self.fan_in.get(net, ()):
                before = found.get(source)
                if before is None:
                    continue
                time = before.time + self.wire(delays, source, pin) + _sum(delays, arc.delays)
                if best is None or time > best.time:
                    luts, carries = before.luts + arc.luts, before.carries + arc.carries
                    best = Arrival(time, luts, carries, before.start, source)
            if best is not None:
                found[net] = best
        return found

    def endpoints(self, delays: Delays) -> list[Endpoint]:
        """The slowest path into each end, the slowest first."""
        arrivals = self.arrivals(delays)
        found = []
        for net, pin, end in self.ends:
            arrival = arrivals.get(net)
            if arrival is not None:
                time = arrival.time + self.wire(delays, net, pin) + _sum(delays, end.delays)
                found.append(Endpoint(time, arrival, net, pin))
        return sorted(found, key=lambda end: (-end.time, end.pin))

    def wire(self, delays: Delays, net: int, pin: Pin) -> float:
        """A net's delay to a pin; nothing inside of a slice's fixed connections."""
        driver = self.netlist.drivers.get(net)
        if driver is None:
            return delays.wire(len(self.netlist.loads[net]))
        source, sink = self.netlist.cells[driver.cell], self.netlist.cells[pin.cell]
        loads = len(self.netlist.loads[net])
        table = is_lut(source)
        if source.type in CARRIES and driver.name == "CO" and pin.name == "CI":
            return 0.0
        if table and sink.type in CARRIES and pin.name in ("S", "DI") and loads <= 2:
            return 0.0
        if (table or source.type in MUXES) and sink.type in MUXES and pin.name != "S":
            return 0.0
        if sink.type == "INV" or sink.type in BUFFERS:
            return 0.0
        logic = table or source.type in (*MUXES, *CARRIES, *LUT_RAMS)
        if logic and loads == 1 and sink.type in FLIP_FLOPS and pin.name == "D":
            return delays.near
        return delays.wire(loads)

    def _loop(self, path: list[int], first: int) -> UsageError:
        labels = [self.netlist.label(net) for net in path[path.index(first) :]]
        return UsageError(f"a loop must have a register, not only {' -> '.join(labels)}")

    def _sources(self, net: int) -> Iterator[int]:
        return (source for source, _, _ in self.fan_in.get(net, ()))

    def _launch(self, cell: Cell) -> tuple[str, ...] | None:
        """Delays from the clock to the cell's outputs; None for logic."""
        match cell.type:
            case kind if kind in FLIP_FLOPS:
                return ("ff_q",)
            case kind if kind in SHIFTS:
                return ("srl_q",)
            case kind if kind in LUT_RAMS:
                return ("lutram_q",)
            case kind if kind in BLOCK_RAMS:
                inside = cell.number("DOA_REG") or cell.number("DOB_REG")
                return ("bram_register_q",) if inside or cell.name in self.absorbed.results else ("bram_q",)
            case kind if kind == DSP:
                return self._dsp_launch(cell)
        return None

    def _dsp_launch(self, cell: Cell) -> tuple[str, ...] | None:
        if self._registered_result(cell):
            return ("dsp_register_q",)
        if cell.number("MREG"):
            return ("dsp_register_q", "dsp_add")
        return ("dsp",) if any(self._registered(cell, pin) for pin in DSP_OPERANDS) else None

    def _registered_result(self, cell: Cell) -> bool:
        return bool(cell.number("PREG")) or cell.name in self.absorbed.results

    def _registered(self, cell: Cell, pin: str) -> bool:
        return bool(cell.number(DSP_OPERANDS[pin])) or (cell.name, pin) in self.absorbed.operands

    def _arcs(self, cell: Cell, driver: Pin) -> Iterator[Arc]:
        if cell.type != DSP:
            yield from arcs(cell, driver.name, driver.bit)
        elif not self._registered_result(cell) and not cell.number("MREG"):
            for pin in ("A", "B", "C", "D", "PCIN"):
                if pin == "PCIN" or not self._registered(cell, pin):
                    delay = "dsp_add" if pin in ("C", "PCIN") else "dsp"
                    yield from (Arc(pin, bit, (delay,)) for bit in range(len(cell.pins.get(pin, ()))))

    def _dsp_ends(self, cell: Cell) -> Iterator[End]:
        """Operands that a register of the block takes, and its controls."""
        clocked = self._registered_result(cell) or bool(cell.number("MREG"))
        driven = outputs(cell)
        for pin, nets in cell.pins.items():
            if pin in driven or pin == "CLK" or (cell.name, pin) in self.absorbed.operands:
                continue
            if pin in DSP_OPERANDS and not cell.number(DSP_OPERANDS[pin]):
                delays = ("dsp_setup",) if clocked else None
            else:
                delays = ("ff_setup",) if pin != "PCIN" or clocked else None
            if delays:
                yield from (End(pin, bit, delays) for bit in range(len(nets)))

    def _inside(self, net: int, end: End) -> bool:
        """Whether the end is a flip-flop that lies in the block that drives it."""
        driver = self.netlist.drivers.get(net)
        return end.pin == "D" and driver is not None and driver.cell in self.absorbed.results


def _net(cell: Cell, pin: str, bit: int) -> int | str | None:
    nets = cell.pins.get(pin, ())
    return nets[bit] if bit < len(nets) else None


def _sum(delays: Delays, names: Sequence[str]) -> float:
    return sum(getattr(delays, name) for name in names)
