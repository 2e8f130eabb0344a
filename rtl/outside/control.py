# SPDX-License-Identifier: Apache-2.0
"""Start, errors, watchdog, abort and counters: what happens to an image from start to done."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import COUNTERS, Error
from hlsgen.rtl.format.ports import LEVELS
from hlsgen.rtl.outside.registers import Settings, Status
from hlsgen.rtl.outside.starts import Running, Starts
from hlsgen.rtl.parts.axi import ADDRESS_BITS
from hlsgen.rtl.parts.ports import ports

FLUSH_CYCLES = 64
"""Cycles of the core's reset, at least: longer than any of its pipelines."""


def _members(streamed: bool) -> dict[str, Any]:
    """The ports of `Control`."""
    return {
        "start": In(1),
        "abort": In(1),
        "clear": In(1),
        "acknowledge": In(1),
        "settings": In(Settings(streamed)),
        "status": Out(Status()),
        "image": Out(Settings(streamed)),
        "current": Out(Running(streamed)),
        "check_reset": Out(1, init=1),  # pyright: ignore[reportCallIssue]
        "core_reset": Out(1, init=1),  # pyright: ignore[reportCallIssue]
        "feed": Out(1),
        **{f"renew_{name}": Out(1) for name in ("check", "reads", "writer")},
        "hold": Out(1),
        "checked": In(1),
        "check_waits": In(1),
        "check_placed": In(1),
        "check_code": In(8),
        "check_faulty": In(1),
        "enable": Out(1),
        "core_done": In(1),
        "core_progress": In(1),
        "core_levels": In(LEVELS),
        "finish": Out(1),
        "written": In(1),
        "read_error": In(1),
        "late_read_error": In(1),
        "header_error": In(1),
        "write_error": In(1),
        "bus_progress": In(1),
        "reads_idle": In(1),
        "bus_idle": In(1),
        "irq": Out(1),
        "begin": Out(1),
    }


class Control(wiring.Component):
    """Takes an image through check, run, finish and stop, and reports what came of it; then the next one.

    The settings are copied at start, so that the host may write the next image's while the machine is busy;
    of the bases only the low `address_bits`. Starts wait in a queue (`Starts`).

    While an image runs, the header of the next one is read and checked as far as it says where the first
    section lies. Once the core is done and no read is on its way, the channels are emptied, the check goes on
    and the next image's first words are read, while the last output words are written. Where the next start
    comes too late for that, everything is reset between the two images, as after a single one.

    An error ends the image and forgets the starts behind it; so does an abort. What a read for the next image
    meets is that image's error.
    Whatever happens, the machine comes back: the watchdog ends a run without progress, the limit one that
    takes too long, and `stop` gives up on outstanding transfers that show no progress for as long as the
    watchdog. What then still arrives is dropped. An image is done when its last read, too, has been answered
    without an error.

    Members
    -------
    start, abort, clear, acknowledge, settings, status
        The registers' side.
    image
        The copied settings, for the header check.
    current
        Those of the image that runs, for the core and its memory.
    check_reset, core_reset
        Resets for everything that belongs to an image, and for the core.
    feed
        The core takes words: it is not in reset. A register of its own, for the net of `core_reset` is large.
    renew_check, renew_reads, renew_writer
        High for one cycle: resets of the header check, of all channels but the header's, and of the writer,
        for the next image.
    hold
        The check must not open a channel, but the header's.
    checked, check_waits, check_placed, check_code, check_faulty
        The header check's `done`, `waits`, `placed`, `code` and `faulty`.
    enable
        The channels may read.
    core_done, core_progress, core_levels
        The core's `done` and `progress`, and its counter levels (`LEVELS`), in the order of `COUNTERS`
        after `cycles`.
    finish, written
        To and from the writer: no more words come; all is written.
    read_error, late_read_error, header_error, write_error, bus_progress, reads_idle, bus_idle
        From the masters; late ones are those of reads that `check_reset` has given up, the header's apart.
    irq
        High while done or error is set.
    begin
        An idle machine starts.

    Latency
    -------
    Four cycles from `start` to the check, three where one image is held; two from the last response to
    `done`.
    """

    settings: Any
    status: Any
    image: Any
    start: Signal
    abort: Signal
    clear: Signal
    acknowledge: Signal
    current: Any
    check_reset: Signal
    core_reset: Signal
    feed: Signal
    renew_check: Signal
    renew_reads: Signal
    renew_writer: Signal
    hold: Signal
    checked: Signal
    check_waits: Signal
    check_placed: Signal
    check_code: Signal
    check_faulty: Signal
    enable: Signal
    core_done: Signal
    core_progress: Signal
    core_levels: Any
    finish: Signal
    written: Signal
    read_error: Signal
    late_read_error: Signal
    header_error: Signal
    write_error: Signal
    bus_progress: Signal
    reads_idle: Signal
    bus_idle: Signal
    irq: Signal
    begin: Signal

    def __init__(self, address_bits: int = ADDRESS_BITS, *, streamed: bool = False, images: int = 1) -> None:
        self._starts = Starts(images, address_bits, streamed=streamed)
        self._images = images
        self._active = Signal(name="active")
        """An image is on its way from start to done."""
        self._ahead = Signal(name="ahead")
        """The header's check is the next image's."""
        self._opened, self._quiet = Signal(name="opened"), Signal(name="quiet")
        """The channels are the next image's; this one has no read under way."""
        self._fails, self._code = Signal(name="fails"), Signal(8, name="failure")
        """An error of this cycle."""
        self._switch = Signal(name="switch")
        """The next image becomes the oldest one."""
        super().__init__(_members(streamed))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.submodules.starts = starts = self._starts
        outcome = Signal(8)
        fresh = self._accept(m, starts)
        expired, late, settle = self._watchdog(m)
        flushed = self._flushed(m)
        self._failure(m, expired, late)
        # A read that was granted in the cycle after `enable` fell shows in `reads_idle` a cycle later.
        m.d.sync += self._quiet.eq(self.finish & ~self.enable & self.reads_idle)
        pulses = (self.renew_check, self.renew_reads, self.renew_writer, starts.drop)
        m.d.sync += [pulse.eq(0) for pulse in pulses]
        with m.FSM(name="control"):
            with m.State("IDLE"), m.If(starts.held & ~starts.drop):
                m.d.comb += self.begin.eq(fresh)
                m.d.sync += fresh.eq(0)
                m.d.sync += [self.check_reset.eq(0), self._active.eq(1), starts.became.eq(1), outcome.eq(0)]
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(self.checked & flushed):
                    m.d.sync += [self.core_reset.eq(0), self.feed.eq(1), self.enable.eq(1)]
                    m.d.comb += starts.taken.eq(1)
                    m.next = "RUN"
                self._stop_on(m, outcome)
            with m.State("RUN"):
                with m.If(self.core_done):
                    m.d.sync += [self.finish.eq(1), self.core_reset.eq(1)]
                    m.d.sync += [self.feed.eq(0), self.enable.eq(0)]
                    m.next = "FINISH"
                with m.Elif(starts.held & ~self._ahead if self._images > 1 else 0):
                    m.d.sync += [self._ahead.eq(1), self.renew_check.eq(1)]
                self._stop_on(m, outcome)
            with m.State("FINISH"):
                self._finish(m)
                self._stop_on(m, outcome)
            with m.State("STOP"):
                self._end(m, outcome, (self.bus_idle | expired) & settle[-1])
        self._count(m)
        return m

    def _accept(self, m: Module, starts: Starts) -> Signal:
        """Starts that have room, and what the host sees; returns whether one found the machine idle."""
        status, room, fresh = self.status, Signal.like(starts.room), Signal()
        wiring.connect(m, starts.image, wiring.flipped(self.image))
        wiring.connect(m, starts.current, wiring.flipped(self.current))
        wiring.connect(m, wiring.flipped(self.settings), starts.settings)
        busy = self._active | starts.held | starts.waiting
        free = starts.room if self._images > 1 else ~busy
        m.d.comb += [
            room.eq(Mux(status.error, 0, free)),
            starts.put.eq(self.start & ~self.abort & (room != 0)),
            self.hold.eq(self._ahead & ~self._opened),
            self.irq.eq(status.done | status.error),
            status.busy.eq(busy),
            status.error.eq(status.code != 0),
            status.room.eq(room),
        ]
        m.d.sync += starts.became.eq(self._switch)
        with m.If(starts.put & ~busy):
            m.d.sync += fresh.eq(1)
        with m.If(self.clear | (starts.put & ~busy)):
            m.d.sync += [status.done.eq(0), status.code.eq(0), status.ignored.eq(0)]
        with m.If(self.acknowledge):
            m.d.sync += status.done.eq(0)
        with m.If(self.start & ~self.abort & ~starts.put):
            m.d.sync += status.ignored.eq(1)
        return fresh

    def _finish(self, m: Module) -> None:
        """The last words are written; where the next image's check waits, it goes on meanwhile."""
        with m.If(self.written & self.finish):
            with m.If(self._opened):
                m.d.comb += self._switch.eq(1)
                m.d.sync += [
                    self.finish.eq(0),
                    self.renew_writer.eq(1),
                    self._ahead.eq(0),
                    self._opened.eq(0),
                ]
                self._done(m)
                m.next = "CHECK"
            with m.Else():
                self._stop(m)
        with m.Elif(self._ahead & self.check_waits & ~self._opened & self._quiet & self.reads_idle):
            m.d.sync += [self.renew_reads.eq(1), self._opened.eq(1)]
        with m.Elif(self.check_placed):
            # All channels at once, so that they share the bus from the first burst on.
            m.d.sync += self.enable.eq(1)

    def _done(self, m: Module) -> None:
        m.d.sync += [self.status.done.eq(1), self.status.completed.eq(self.status.completed + 1)]

    def _end(self, m: Module, outcome: Signal, ended: Value) -> None:
        """An image's end without the next one's begin; what waits behind an error is forgotten a cycle later.

        The last reads, which nothing waited for, count as well.
        """
        read_error = self.read_error | self.late_read_error
        with m.If((outcome == 0) & read_error):
            m.d.sync += outcome.eq(Error.READ)
        with m.If(ended):
            m.d.sync += self._active.eq(0)
            m.next = "IDLE"
            with m.If((outcome == 0) & ~read_error & self.bus_idle):
                self._done(m)
            with m.Else():
                last = Mux(read_error, Error.READ, Error.WATCHDOG)
                m.d.sync += self.status.code.eq(Mux(outcome == 0, last, outcome))
                m.d.sync += self._starts.drop.eq(1)

    def _stop(self, m: Module) -> None:
        m.d.sync += [
            self.check_reset.eq(1),
            self.core_reset.eq(1),
            *(level.eq(0) for level in (self.feed, self.enable, self.finish, self._ahead, self._opened)),
        ]
        m.next = "STOP"

    def _stop_on(self, m: Module, outcome: Signal) -> None:
        with m.If(self._fails):
            m.d.sync += outcome.eq(self._code)
            self._stop(m)

    def _failure(self, m: Module, expired: Signal, late: Signal) -> None:
        """Whether there is an error in this cycle, and its code: the most telling one first."""
        early, aborted = Signal(), Signal()
        # Reads for the next image fail early; the error is that image's own.
        with m.If(self.check_reset):
            m.d.sync += early.eq(0)
        with m.Elif((self.read_error & self._opened) | (self.header_error & self._ahead)):
            m.d.sync += early.eq(1)
        # An abort acts in the next cycle; one between two images ends the next one.
        m.d.sync += aborted.eq((aborted | self.abort) & self.status.busy & ~self._starts.drop)
        errors = (
            ((self.read_error & ~self._opened) | ((self.header_error | early) & ~self._ahead), Error.READ),
            (self.write_error, Error.WRITE),
            (self.check_faulty & ~self._ahead, self.check_code),
            (aborted, Error.ABORTED),
            (expired, Error.WATCHDOG),
            (late, Error.LIMIT),
        )
        # The state looks at the flags, not at the code that they choose.
        m.d.comb += self._fails.eq(Cat(there for there, _ in errors).any())
        for there, code in reversed(errors):
            with m.If(there):
                m.d.comb += self._code.eq(code)

    def _watchdog(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Too many cycles without progress; too many in all; and the reset, delayed until all has settled."""
        timer, expired, late, settle = Signal(32), Signal(), Signal(), Signal(3)
        progress = self.core_progress | self.bus_progress
        was_reset, left = Signal(), Signal(32)
        became = self._starts.became
        counts = self._active & ~self._switch & ~became
        m.d.sync += was_reset.eq(self.check_reset)
        # A phase begins where the reset or the image changes: each one has the whole limit.
        with m.If(~self._active | progress | became | (was_reset != self.check_reset)):
            m.d.sync += [timer.eq(0), expired.eq(0)]
        with m.Else():
            m.d.sync += [timer.eq(timer + 1), expired.eq(timer >= self.current.watchdog)]
        # `left` is the limit in the image's second cycle; of a limit of 0 it becomes 1 after 2**32.
        m.d.sync += [left.eq(Mux(became, self.image.limit, left - 1)), late.eq(counts & (left == 1))]
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

    def _count(self, m: Module) -> None:
        """Cycles while busy; the core's levels while it runs. An idle machine's start clears them."""
        status = ports(self.status)
        counters = [status[counter.title] for counter in COUNTERS]
        steps = Cat(self.status.busy, self.core_levels.as_value())
        for index, counter in enumerate(counters):
            running = steps[index] if index == 0 else steps[index] & ~self.core_reset & ~self.finish
            with m.If(self.begin):
                m.d.sync += counter.eq(0)
            with m.Elif(running):
                m.d.sync += counter.eq(counter + 1)
