# SPDX-License-Identifier: Apache-2.0
"""Start, errors, watchdog, abort and counters: what happens to an image from start to done."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import COUNTERS, Error, Register
from hlsgen.rtl.format.ports import LEVELS
from hlsgen.rtl.outside.registers import Settings, Status
from hlsgen.rtl.parts.axi import ADDRESS_BITS
from hlsgen.rtl.parts.ports import ports

FLUSH_CYCLES = 64
"""Cycles of the core's reset, at least: longer than any of its pipelines."""


class Control(wiring.Component):
    """Takes an image through check, run, finish and stop, and reports what came of it.

    The settings are copied at start, so that the host may write the next image's while the machine is busy;
    of the bases only the low `address_bits`.
    Whatever happens, the machine comes back: the watchdog ends a run without progress, the limit one that
    takes too long, and `stop` gives up on outstanding transfers that show no progress for as long as the
    watchdog. What then still arrives is dropped. An image is done when its last read, too, has been answered
    without an error.

    Members
    -------
    start, abort, clear, settings, status
        The registers' side.
    image
        The copied settings, for the header check.
    check_reset, core_reset
        Resets for everything that belongs to an image, and for the core.
    checked, check_code
        The header check's `done` and `code`.
    enable
        The channels may read.
    core_done, core_progress, core_levels
        The core's `done` and `progress`, and its counter levels (`LEVELS`), in the order of `COUNTERS`
        after `cycles`.
    finish, written
        To and from the writer: no more words come; all is written.
    read_error, late_read_error, write_error, bus_progress, bus_idle
        From the masters; late ones are those of reads that `check_reset` has given up.
    irq
        High while done or error is set.
    begin
        An image begins.

    Latency
    -------
    Two cycles from `start` to the check; two from the last response to `done`.
    """

    settings: Any
    status: Any
    image: Any
    start: Signal
    abort: Signal
    clear: Signal
    check_reset: Signal
    core_reset: Signal
    checked: Signal
    check_code: Signal
    enable: Signal
    core_done: Signal
    core_progress: Signal
    core_levels: Any
    finish: Signal
    written: Signal
    read_error: Signal
    late_read_error: Signal
    write_error: Signal
    bus_progress: Signal
    bus_idle: Signal
    irq: Signal
    begin: Signal

    def __init__(self, address_bits: int = ADDRESS_BITS, *, streamed: bool = False) -> None:
        self._address_bits = address_bits
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "clear": In(1),
                "settings": In(Settings(streamed)),
                "status": Out(Status()),
                "image": Out(Settings(streamed)),
                "check_reset": Out(1, init=1),  # pyright: ignore[reportCallIssue]
                "core_reset": Out(1, init=1),  # pyright: ignore[reportCallIssue]
                "checked": In(1),
                "check_code": In(8),
                "enable": Out(1),
                "core_done": In(1),
                "core_progress": In(1),
                "core_levels": In(LEVELS),
                "finish": Out(1),
                "written": In(1),
                "read_error": In(1),
                "late_read_error": In(1),
                "write_error": In(1),
                "bus_progress": In(1),
                "bus_idle": In(1),
                "irq": Out(1),
                "begin": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        status, failure, begin, outcome = self.status, Signal(8), self.begin, Signal(8)
        expired, late, settle = self._watchdog(m)
        flushed = self._flushed(m)
        m.d.comb += [
            failure.eq(self._failure(m, expired, late)),
            self.irq.eq(status.done | status.error),
            status.error.eq(status.code != 0),
        ]
        with m.If(self.clear | begin):
            m.d.sync += [status.done.eq(0), status.code.eq(0), status.ignored.eq(0)]
        with m.FSM(name="control"):
            with m.State("IDLE"), m.If(self.start & ~self.abort):
                m.d.comb += begin.eq(1)
                m.d.sync += [self.check_reset.eq(0), status.busy.eq(1), outcome.eq(0)]
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.checked & flushed):
                    m.d.sync += [self.core_reset.eq(0), self.enable.eq(1)]
                    m.next = "RUN"
                self._stop_on(m, failure, outcome)
            with m.State("RUN"):
                with m.If(self.core_done):
                    m.d.sync += self.finish.eq(1)
                    m.next = "FINISH"
                self._stop_on(m, failure, outcome)
            with m.State("FINISH"):
                with m.If(self.written & self.finish):
                    self._stop(m)
                self._stop_on(m, failure, outcome)
            with m.State("STOP"):
                final = self._final(m, outcome)
                with m.If((self.bus_idle | expired) & settle[-1]):
                    m.d.sync += [status.busy.eq(0), status.done.eq(final == 0), status.code.eq(final)]
                    m.next = "IDLE"
        with m.If(self.start & status.busy):
            m.d.sync += status.ignored.eq(1)
        self._copy(m, begin)
        self._count(m, begin)
        return m

    def _stop(self, m: Module) -> None:
        m.d.sync += [
            self.check_reset.eq(1),
            self.core_reset.eq(1),
            self.enable.eq(0),
            self.finish.eq(0),
        ]
        m.next = "STOP"

    def _stop_on(self, m: Module, failure: Signal, outcome: Signal) -> None:
        with m.If(failure != 0):
            m.d.sync += outcome.eq(failure)
            self._stop(m)

    def _final(self, m: Module, outcome: Signal) -> Signal:
        """What came of the image, if it ends now: its last reads, which nothing waited for, count as well."""
        final, read_error = Signal(8), self.read_error | self.late_read_error
        m.d.comb += final.eq(outcome)
        with m.If(outcome == 0):
            with m.If(read_error):
                m.d.comb += final.eq(Error.READ)
                m.d.sync += outcome.eq(Error.READ)
            with m.Elif(~self.bus_idle):
                m.d.comb += final.eq(Error.WATCHDOG)
        return final

    def _failure(self, m: Module, expired: Signal, late: Signal) -> Signal:
        """The error of this cycle, the most telling one first."""
        code = Signal(8)
        with m.If(self.read_error):
            m.d.comb += code.eq(Error.READ)
        with m.Elif(self.write_error):
            m.d.comb += code.eq(Error.WRITE)
        with m.Elif(self.check_code != 0):
            m.d.comb += code.eq(self.check_code)
        with m.Elif(self.abort):
            m.d.comb += code.eq(Error.ABORTED)
        with m.Elif(expired):
            m.d.comb += code.eq(Error.WATCHDOG)
        with m.Elif(late):
            m.d.comb += code.eq(Error.LIMIT)
        return code

    def _watchdog(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Too many cycles without progress; too many in all; and the reset, delayed until all has settled."""
        timer, expired, late, settle = Signal(32), Signal(), Signal(), Signal(3)
        progress = self.core_progress | self.bus_progress
        was_reset = Signal()
        m.d.sync += was_reset.eq(self.check_reset)
        # A phase begins where the reset changes: each one has the whole limit.
        with m.If(~self.status.busy | progress | (was_reset != self.check_reset)):
            m.d.sync += [timer.eq(0), expired.eq(0)]
        with m.Else():
            m.d.sync += [timer.eq(timer + 1), expired.eq(timer >= self.image.watchdog)]
        # In an image's first cycle the counter is 0, and again after 2**32: so long is a limit of 0.
        running = self.status.busy & (was_reset == self.check_reset)
        m.d.sync += late.eq(running & (self.status.cycles == self.image.limit))
        m.d.sync += settle.eq((settle << 1) | self.check_reset)
        return expired, late, settle

    def _flushed(self, m: Module) -> Signal:
        """The core's reset has lasted until its pipelines, whose registers have none, are empty."""
        held, flushed = Signal(range(FLUSH_CYCLES)), Signal()
        m.d.sync += flushed.eq(self.core_reset & (held == FLUSH_CYCLES - 1))
        with m.If(~self.core_reset):
            m.d.sync += held.eq(0)
        with m.Elif(held != FLUSH_CYCLES - 1):
            m.d.sync += held.eq(held + 1)
        return flushed

    def _copy(self, m: Module, begin: Signal) -> None:
        image = ports(self.image)
        for name, value in ports(self.settings).items():
            if Register[name.upper()].words == 2:  # a base
                value = value[: self._address_bits]
            with m.If(begin):
                m.d.sync += image[name].eq(value)

    def _count(self, m: Module, begin: Signal) -> None:
        """Cycles while busy; the core's levels while it runs."""
        status = ports(self.status)
        counters = [status[counter.title] for counter in COUNTERS]
        steps = Cat(self.status.busy, self.core_levels.as_value())
        for index, counter in enumerate(counters):
            running = steps[index] if index == 0 else steps[index] & ~self.core_reset & ~self.finish
            with m.If(begin):
                m.d.sync += counter.eq(0)
            with m.Elif(running):
                m.d.sync += counter.eq(counter + 1)
