# SPDX-License-Identifier: Apache-2.0
"""The registers that the host sees, behind an AXI4-Lite slave."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.limits import WATCHDOG_CYCLES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.parts.axi import AxiLite, AxiLitePorts
from hlsgen.rtl.parts.pipeline import address_bits
from hlsgen.rtl.parts.ports import ports

CONTROL, STATUS, ERROR, BUILD_ID, SHAPE, COUNTERS = 0x00, 0x04, 0x08, 0x40, 0x44, 0x48
COUNTER_NAMES = ("cycles", "multiply", "wait_tile", "wait_weights", "wait_drain", "idle")

# name, bits, offset, reset value; 64-bit settings take two registers, low first.
SETTINGS: tuple[tuple[str, int, int, int], ...] = (
    ("task", 32, 0x0C, 0),
    ("image_base", 64, 0x10, 0),
    ("image_bytes", 32, 0x18, 0),
    ("input_base", 64, 0x1C, 0),
    ("output_base", 64, 0x24, 0),
    ("window_base", 64, 0x2C, 0),
    ("window_bytes", 32, 0x34, 0),
    ("watchdog", 32, 0x38, WATCHDOG_CYCLES),
    ("limit", 32, 0x3C, 0),
)
STREAMED_SETTINGS = (("workspace_base", 64, 0x60, 0),)
"""Those that only machines with streamed attention have."""
EXPERT, EXPERT_TOKENS, EXPERT_WAITS = 0x68, 0x6C, 0x70
"""Only in machines with experts: which expert's counters are shown, and these."""


def settings(streamed: bool) -> tuple[tuple[str, int, int, int], ...]:
    """The settings that a machine has."""
    return SETTINGS + STREAMED_SETTINGS if streamed else SETTINGS


class Settings(wiring.Signature):
    """What the host sets for an image, driven by the registers."""

    def __init__(self, streamed: bool = False) -> None:
        members = {}
        for name, bits, _, init in settings(streamed):
            members[name] = Out(bits, init=init)  # pyright: ignore[reportCallIssue]
        super().__init__(members)


class Status(wiring.Signature):
    """What the host reads back, driven by the control."""

    def __init__(self) -> None:
        members = {name: Out(1) for name in ("busy", "done", "error", "ignored")}
        super().__init__(members | {"code": Out(8)} | {name: Out(32) for name in COUNTER_NAMES})


def expert_members(p: MachineParameters) -> dict[str, Any]:
    """The registers' side of the counters of experts."""
    shown = {name: In(32) for name in ("expert_tokens", "expert_waits")}
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
    start, abort, clear
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
    expert: Signal
    expert_tokens: Signal
    expert_waits: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = parameters
        super().__init__(
            {
                "bus": In(AxiLite()),
                "start": Out(1),
                "abort": Out(1),
                "clear": Out(1),
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
        m.d.sync += [accept.eq(0), self.start.eq(0), self.abort.eq(0), self.clear.eq(0)]
        m.d.comb += [bus.awready.eq(accept), bus.wready.eq(accept)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.wvalid & ~accept & ~bus.bvalid):
            m.d.sync += accept.eq(1)
        with m.If(accept):
            m.d.sync += bus.bvalid.eq(1)
            with m.Switch(bus.awaddr[2:]):
                with m.Case(CONTROL >> 2), m.If(bus.wstrb[0]):
                    m.d.sync += Cat(self.start, self.abort, self.clear).eq(bus.wdata[:3])
                for offset, part in self._parts():
                    with m.Case(offset >> 2):
                        for byte in range(4):
                            with m.If(bus.wstrb[byte]):
                                lane = slice(8 * byte, 8 * byte + 8)
                                m.d.sync += part[lane].eq(bus.wdata[lane])

    def _parts(self) -> list[tuple[int, Signal]]:
        """Offset and 32-bit part of every setting."""
        parts, values = [], ports(self.settings)
        for name, bits, offset, _ in settings(self._parameters.streamed):
            value = values[name]
            parts += [(offset + low // 8, value[low : low + 32]) for low in range(0, bits, 32)]
        if self._parameters.experts:
            parts.append((EXPERT, self.expert))
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

    def _readable(self) -> list[tuple[int, object]]:
        """Offset and value of every register that reads as something."""
        p, status = self._parameters, self.status
        values = ports(status)
        shape = p.rows | p.columns << 8 | p.depth << 16 | p.bus_bytes << 24
        return [
            (STATUS, Cat(status.busy, status.done, status.error, status.ignored)),
            (ERROR, status.code),
            *self._parts(),
            (BUILD_ID, Const(p.build_id, 32)),
            (SHAPE, Const(shape, 32)),
            *((COUNTERS + 4 * index, values[name]) for index, name in enumerate(COUNTER_NAMES)),
            *([(EXPERT_TOKENS, self.expert_tokens), (EXPERT_WAITS, self.expert_waits)] if p.experts else []),
        ]
