# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator: registers, control, masters and core behind flat AXI ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetInserter, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import images_held
from hlsgen.rtl.experts.counters import ExpertCounters
from hlsgen.rtl.format.jobs import trace_signature
from hlsgen.rtl.format.ports import PlacePorts, SectionsPorts
from hlsgen.rtl.format.streams import UNIT_BITS
from hlsgen.rtl.outside.control import Control
from hlsgen.rtl.outside.fetch import CONSTANTS, WEIGHTS, Fetch
from hlsgen.rtl.outside.header import HeaderCheck
from hlsgen.rtl.outside.registers import Registers
from hlsgen.rtl.outside.write_back import WriteBack
from hlsgen.rtl.parts.axi import ADDRESS_BITS, AxiLite, AxiRead, AxiWrite
from hlsgen.rtl.parts.ports import flat_members, pass_flat


def _trace_members(p: MachineParameters) -> dict[str, wiring.Member]:
    shown = trace_signature(p)
    return flat_members("trace_tile", shown) | flat_members("trace_drain", shown)


class Top(wiring.Component):
    """The accelerator.

    Parameters
    ----------
    parameters
        The machine's shape.
    target
        The kind of device, a key of `hlsgen.machine.format.multipliers.TARGETS`.
    trace
        Show every word that the core writes on the `trace_*` ports.
    address_bits
        Bits of external addresses that are used; the bases' bits above are taken as 0.
    near
        What the master reads is on the chip: see `Fetch`.
    core_factory
        Makes the core; a test may put another one with the same members in its place.

    Members
    -------
    s_axil_*
        AXI4-Lite slave: the registers of docs/registers.md.
    m_axi_*
        AXI4 master: bursts of at most `fetch.burst_bytes`, aligned so that none crosses 4 KiB.
    irq
        High while done or error is set.
    trace_tile_*, trace_drain_*
        With `trace`: a word of each row of a group, valid for one cycle.

    Latency
    -------
    Throughput is the core's; docs/machine.md describes it.
    """

    irq: Signal

    def __init__(
        self,
        parameters: MachineParameters,
        *,
        target: str = "generic",
        trace: bool = False,
        address_bits: int = ADDRESS_BITS,
        near: bool = False,
        core_factory: Callable[[], wiring.Component] | None = None,
    ) -> None:
        self._parameters, self._target, self._trace = parameters, target, trace
        self._core_factory = core_factory
        self._bus: dict[str, Any] = {"address_bits": address_bits, "near": near}
        bus = parameters.bus_bytes
        super().__init__(
            {
                **flat_members("s_axil", AxiLite().flip()),
                **flat_members("m_axi", AxiRead(bus)),
                **flat_members("m_axi", AxiWrite(bus)),
                "irq": Out(1),
                **(_trace_members(parameters) if trace else {}),
            }
        )

    def _core(self) -> Any:
        if self._core_factory is not None:
            return self._core_factory()
        from hlsgen.rtl.core.core import Core

        return Core(self._parameters, target=self._target, trace=self._trace, near=self._bus["near"])

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.submodules.registers = registers = Registers(self._parameters)
        m.submodules.control = control = Control(
            self._bus["address_bits"],
            streamed=self._parameters.streamed,
            images=images_held(near=self._bus["near"]),
        )
        m.submodules.fetch = fetch = Fetch(self._parameters, **self._bus)
        m.submodules.write_back = writer = WriteBack(self._parameters, **self._bus)
        header, core = HeaderCheck(self._parameters), self._core()
        m.submodules.header = ResetInserter(control.check_reset | control.renew_check)(header)
        m.submodules.core = self._held(m, core, control.core_reset)

        pass_flat(m, self, "s_axil", registers.bus)
        pass_flat(m, self, "m_axi", fetch.bus)
        pass_flat(m, self, "m_axi", writer.bus)
        self._connect_control(m, registers, control, header)
        self._connect_masters(m, control, header, fetch, writer)
        self._connect_core(m, control, header, fetch, writer, core)
        m.d.comb += self.irq.eq(control.irq)
        if self._parameters.experts:
            self._connect_counters(m, registers, control, core)
        return m

    @staticmethod
    def _held(m: Module, core: Any, reset: Signal) -> Any:
        """The core in a domain of the same clock that a register resets.

        The register is set from the start and by a reset from outside; joining both in front of the core
        would put a gate before its largest net.
        """
        m.domains.core = ClockDomain()
        m.d.comb += [ClockSignal("core").eq(ClockSignal()), ResetSignal("core").eq(reset)]
        return DomainRenamer("core")(core)

    def _connect_counters(self, m: Module, registers: Registers, control: Control, core: Any) -> None:
        """Counters of experts are outside the core: its reset leaves them."""
        m.submodules.expert_counters = counters = ExpertCounters(self._parameters)
        m.d.comb += [
            counters.clear.eq(control.begin),
            counters.counts.expert.eq(registers.expert),
            registers.expert_tokens.eq(counters.counts.tokens),
            registers.expert_waits.eq(counters.counts.waits),
        ]
        wiring.connect(m, core.events, counters.events)

    def _connect_control(
        self, m: Module, registers: Registers, control: Control, header: HeaderCheck
    ) -> None:
        wiring.connect(m, registers.settings, control.settings)
        wiring.connect(m, control.status, registers.status)
        wiring.connect(m, control.image, header.settings)
        m.d.comb += [
            control.start.eq(registers.start),
            control.abort.eq(registers.abort),
            control.clear.eq(registers.clear),
            control.acknowledge.eq(registers.acknowledge),
            header.hold.eq(control.hold),
            header.writing.eq(control.finish | control.renew_writer),
            control.check_waits.eq(header.waits),
            control.check_placed.eq(header.placed),
            control.checked.eq(header.done),
            control.check_code.eq(header.code),
            control.check_faulty.eq(header.faulty),
        ]

    def _connect_masters(
        self, m: Module, control: Control, header: HeaderCheck, fetch: Fetch, writer: WriteBack
    ) -> None:
        wiring.connect(m, fetch.header, header.words)
        wiring.connect(m, header.open, fetch.open)
        m.d.comb += [
            fetch.reset.eq(control.check_reset),
            fetch.renew.eq(control.renew_reads),
            fetch.enable.eq(control.enable),
            writer.reset.eq(control.check_reset | control.renew_writer),
            writer.load.eq(header.output_load),
            writer.address.eq(header.open.address),
            writer.units.eq(header.open.units),
            writer.finish.eq(control.finish),
            control.written.eq(writer.done),
            control.read_error.eq(fetch.error),
            control.late_read_error.eq(fetch.late_error),
            control.header_error.eq(fetch.header_error),
            control.write_error.eq(writer.error),
            control.bus_progress.eq(fetch.progress | writer.progress),
            control.reads_idle.eq(fetch.idle),
            control.bus_idle.eq(fetch.idle & writer.idle),
        ]

    @staticmethod
    def _connect_sections(
        m: Module, header: HeaderCheck, sections: SectionsPorts, place: PlacePorts, channel: int
    ) -> None:
        """The core opens one command's section after another; none of them reaches beyond the Image's."""
        begin, units = Signal.like(header.open.address), Signal.like(header.open.units)
        with m.If(header.open.load & (header.open.channel == channel)):
            m.d.sync += [begin.eq(header.open.address), units.eq(header.open.units)]
        m.d.sync += [
            place.load.eq(sections.open & (sections.offset + sections.units <= units)),
            place.address.eq(begin + sections.offset),
            place.units.eq(sections.units),
        ]
        m.d.comb += sections.spent.eq(place.spent)

    @staticmethod
    def _connect_words(m: Module, control: Control, fetch: Fetch, core: Any) -> None:
        """What was read for the next image waits until the core is there for it."""
        gate = control.feed
        for words, taken in (
            (fetch.commands, core.commands),
            (fetch.constants, core.constants),
            (fetch.weights, core.weights),
            (fetch.addends, core.addends),
            (fetch.pixels, core.pixels),
        ):
            held = words.signature.create()
            m.d.comb += [
                held.payload.eq(words.payload),
                held.valid.eq(words.valid & gate),
                words.ready.eq(held.ready & gate),
            ]
            wiring.connect(m, held, taken)

    def _connect_core(
        self,
        m: Module,
        control: Control,
        header: HeaderCheck,
        fetch: Fetch,
        writer: WriteBack,
        core: Any,
    ) -> None:
        self._connect_words(m, control, fetch, core)
        wiring.connect(m, core.output, writer.i)
        if self._parameters.streamed:
            self._connect_workspace(m, control, fetch, writer, core)
        if self._parameters.planned:
            m.d.comb += core.task.eq(control.current.task)
            self._connect_sections(m, header, core.weights_sections, fetch.weights_place, WEIGHTS)
            self._connect_sections(m, header, core.constants_sections, fetch.constants_place, CONSTANTS)
        m.d.comb += [
            fetch.weights_first.eq(core.weights_first),
            control.core_done.eq(core.done),
            control.core_progress.eq(core.progress),
            control.core_levels.eq(core.levels),
        ]
        if not self._trace:
            return
        pass_flat(m, self, "trace_tile", core.trace_tile, domain="sync")
        pass_flat(m, self, "trace_drain", core.trace_drain, domain="sync")

    @staticmethod
    def _connect_workspace(m: Module, control: Control, fetch: Fetch, writer: WriteBack, core: Any) -> None:
        """Keys and values: where they are written and read again."""
        base = control.current.workspace_base[UNIT_BITS:]
        wiring.connect(m, fetch.operands, core.operands)
        sections, place = core.operands_sections, fetch.operands_place
        m.d.sync += [
            place.load.eq(sections.open),
            place.address.eq(base + sections.offset),
            place.units.eq(sections.units),
        ]
        m.d.comb += [
            sections.spent.eq(place.spent),
            writer.workspace.eq(base),
            core.stored.eq(writer.stored),
        ]
