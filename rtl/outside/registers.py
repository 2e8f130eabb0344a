# SPDX-License-Identifier: Apache-2.0
"""The registers that the host sees, behind an AXI4-Lite slave."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import (
    COUNTERS,
    EXPERT_COUNTERS,
    STREAMED,
    ControlBit,
    Register,
    StatusBit,
)
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.parts.axi import AxiLite, AxiLitePorts
from hlsgen.rtl.parts.pipeline import address_bits
from hlsgen.rtl.parts.ports import ports

ROOM_BITS = 4
"""Of the register `room`: more starts never wait."""


def settings(streamed: bool) -> list[Register]:
    """The settings that a machine has."""
    return [register for register in Register if register.setting and (streamed or register.only != STREAMED)]


class Settings(wiring.Signature):
    """What the host sets for an image, driven by the registers."""

    def __init__(self, streamed: bool = False) -> None:
        members = {}
        for register in settings(streamed):
            bits = 32 * register.words
            members[register.title] = Out(bits, init=register.reset)  # pyright: ignore[reportCallIssue]
        super().__init__(members)


class Status(wiring.Signature):
    """What the host reads back, driven by the control."""

    def __init__(self) -> None:
        members = {bit.title: Out(1) for bit in StatusBit} | {"code": Out(8)}
        members |= {Register.COMPLETED.title: Out(32), Register.ROOM.title: Out(ROOM_BITS)}
        super().__init__(members | {counter.title: Out(32) for counter in COUNTERS})


def expert_members(p: MachineParameters) -> dict[str, Any]:
    """The registers' side of the counters of experts."""
    shown = {counter.title: In(32) for counter in EXPERT_COUNTERS}
    return {"expert": Out(address_bits(p.experts)), **shown}


class Registers(wiring.Component):
    """AXI4-Lite registers; addresses without a register read 0, and writes there have no effect.

    Parameters
    ----------
    parameters
        The machine's shape, for the build id and the shape register.

    Members
    -------
    bus
        The host's AXI4-Lite master.
    start, abort, clear, acknowledge
        High for one cycle when the host writes a one to the bit of `control`.
    settings
        The host's settings.
    status
        The machine's state.
    expert : Out, expert_tokens, expert_waits : In(32)
        See `ExpertCounters`; only in machines with experts.

    Latency
    -------
    A write responds two cycles after its address and data are valid, a read two cycles after its address.
    """

    bus: AxiLitePorts
    settings: Any
    status: Any
    start: Signal
    abort: Signal
    clear: Signal
    acknowledge: Signal
    expert: Signal
    expert_tokens: Signal
    expert_waits: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = parameters
        super().__init__(
            {
                "bus": In(AxiLite()),
                **{bit.title: Out(1) for bit in ControlBit},
                "settings": Out(Settings(parameters.streamed)),
                "status": In(Status()),
                **(expert_members(parameters) if parameters.experts else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        bus, accept = self.bus, Signal()
        mine = ports(self)
        m.d.sync += [accept.eq(0), *(mine[bit.title].eq(0) for bit in ControlBit)]
        m.d.comb += [bus.awready.eq(accept), bus.wready.eq(accept)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.wvalid & ~accept & ~bus.bvalid):
            m.d.sync += accept.eq(1)
        with m.If(accept):
            m.d.sync += bus.bvalid.eq(1)
            with m.Switch(bus.awaddr[2:]):
                with m.Case(Register.CONTROL >> 2), m.If(bus.wstrb[0]):
                    m.d.sync += Cat(mine[bit.title] for bit in ControlBit).eq(bus.wdata[: len(ControlBit)])
                for offset, part in self._parts():
                    with m.Case(offset >> 2):
                        for byte in range(4):
                            with m.If(bus.wstrb[byte]):
                                lane = slice(8 * byte, 8 * byte + 8)
                                m.d.sync += part[lane].eq(bus.wdata[lane])

    def _parts(self) -> list[tuple[int, Signal]]:
        """Offset and 32-bit part of every setting."""
        parts, values = [], ports(self.settings)
        for register in settings(self._parameters.streamed):
            value = values[register.title]
            parts += [(register + 4 * word, value.word_select(word, 32)) for word in range(register.words)]
        if self._parameters.experts:
            parts.append((Register.EXPERT, self.expert))
        return parts

    def _read(self, m: Module) -> None:
        bus, accept = self.bus, Signal()
        m.d.sync += accept.eq(0)
        m.d.comb += bus.arready.eq(accept)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & ~accept & ~bus.rvalid):
            m.d.sync += accept.eq(1)
        with m.If(accept):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(0)]
            with m.Switch(bus.araddr[2:]):
                for offset, value in self._readable():
                    with m.Case(offset >> 2):
                        m.d.sync += bus.rdata.eq(value)

    def _readable(self) -> list[tuple[int, Value]]:
        """Offset and value of every register that reads as something."""
        p, status = self._parameters, self.status
        values, mine = ports(status), ports(self)
        shape = p.rows | p.columns << 8 | p.depth << 16 | p.bus_bytes << 24
        experts = EXPERT_COUNTERS if p.experts else ()
        return [
            (Register.STATUS, Cat(values[bit.title] for bit in StatusBit)),
            (Register.ERROR, status.code),
            *self._parts(),
            (Register.BUILD_ID, Const(p.build_id, 32)),
            (Register.SHAPE, Const(shape, 32)),
            *((counter.register, values[counter.title]) for counter in COUNTERS),
            *((register, values[register.title]) for register in (Register.COMPLETED, Register.ROOM)),
            *((counter.register, mine[counter.title]) for counter in experts),
        ]
