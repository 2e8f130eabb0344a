# SPDX-License-Identifier: Apache-2.0
"""The part of a host that a board without a processor needs: it runs one image through the registers."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import CYCLES, ControlBit, Register, StatusBit
from hlsgen.rtl.board.image_rom import MemoryMap
from hlsgen.rtl.parts.axi import AxiLite, AxiLitePorts

ENDED = (StatusBit.DONE, StatusBit.ERROR)
"""Bits of the status register that tell the end."""


@dataclass(frozen=True)
class Access:
    """An access to a register; `goal` says where what was read goes, or `wait` for the end, or `write`."""

    goal: str
    address: int
    data: int = 0


def accesses(memory_map: MemoryMap, limit: int) -> tuple[Access, ...]:
    """The accesses of one image, which may take `limit` cycles, in order."""
    settings = {
        Register.IMAGE_BASE: 0,
        Register.IMAGE_BYTES: memory_map.image_bytes,
        Register.INPUT_BASE: memory_map.input_base,
        Register.OUTPUT_BASE: memory_map.output_base,
        Register.WINDOW_BASE: 0,
        Register.WINDOW_BYTES: memory_map.end,
        Register.LIMIT: limit,
    }
    return (
        *(Access("write", register, value) for register, value in settings.items()),
        Access("write", Register.CONTROL, ControlBit.START.mask),
        Access("wait", Register.STATUS),
        Access("code", Register.ERROR),
        Access("cycles", CYCLES.register),
        Access("write", Register.CONTROL, ControlBit.CLEAR.mask),
    )


class RegisterHost(wiring.Component):
    """Sets the accelerator's addresses, starts it, polls until it has ended, and reads error and cycles.

    Parameters
    ----------
    memory_map
        Addresses of Image, input and output.
    limit
        Cycles that an image may take, see `hlsgen.machine.format.limits`.

    Members
    -------
    bus
        AXI4-Lite master.
    start : In(1)
        Run an image; ignored while one runs.
    done : Out(1)
        High for one cycle at the end.
    code, cycles : Out
        The error register and the cycle counter of the last image.
    """

    bus: AxiLitePorts
    start: Signal
    done: Signal
    code: Signal
    cycles: Signal

    def __init__(self, memory_map: MemoryMap, limit: int) -> None:
        self._accesses = accesses(memory_map, limit)
        members = {"start": In(1), "done": Out(1), "code": Out(8), "cycles": Out(32)}
        super().__init__({"bus": Out(AxiLite()), **members})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        bus, step, found = self.bus, Signal(range(len(self._accesses) + 1)), Signal(32)
        m.d.comb += [bus.wstrb.eq(0xF), bus.bready.eq(1), bus.rready.eq(1)]
        m.d.sync += self.done.eq(0)
        with m.FSM(name="host"):
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += step.eq(0)
                m.next = "ISSUE"
            with m.State("ISSUE"):
                self._issue(m, step)
            with m.State("WRITE"):
                with m.If(bus.awready):
                    m.d.sync += bus.awvalid.eq(0)
                with m.If(bus.wready):
                    m.d.sync += bus.wvalid.eq(0)
                with m.If(bus.bvalid):
                    m.d.sync += step.eq(step + 1)
                    m.next = "ISSUE"
            with m.State("READ"):
                with m.If(bus.arready):
                    m.d.sync += bus.arvalid.eq(0)
                with m.If(bus.rvalid):
                    m.d.sync += found.eq(bus.rdata)
                    m.next = "TAKE"
            with m.State("TAKE"):
                self._take(m, step, found)
                m.next = "ISSUE"
        return m

    def _issue(self, m: Module, step: Signal) -> None:
        bus = self.bus
        with m.Switch(step):
            for index, item in enumerate(self._accesses):
                with m.Case(index):
                    if item.goal == "write":
                        m.d.sync += [bus.awaddr.eq(item.address), bus.wdata.eq(item.data)]
                        m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
                        m.next = "WRITE"
                    else:
                        m.d.sync += [bus.araddr.eq(item.address), bus.arvalid.eq(1)]
                        m.next = "READ"
            with m.Default():
                m.d.sync += self.done.eq(1)
                m.next = "IDLE"

    def _take(self, m: Module, step: Signal, found: Signal) -> None:
        goals = {"code": self.code, "cycles": self.cycles}
        with m.Switch(step):
            for index, item in enumerate(self._accesses):
                with m.Case(index):
                    if item.goal == "wait":
                        m.d.sync += step.eq(step + Cat(found[bit] for bit in ENDED).any())
                    elif item.goal != "write":
                        m.d.sync += [goals[item.goal].eq(found), step.eq(step + 1)]
