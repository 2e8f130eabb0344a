# SPDX-License-Identifier: Apache-2.0
"""A whole board: clock, reset, serial port, Image in block RAM, and the accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from amaranth import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hlsgen.errors import Problem, UsageError
from hlsgen.machine.format.fixed import fixed_machine
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.limits import cycle_limit
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import ON_CHIP
from hlsgen.rtl.board.frames import Frames
from hlsgen.rtl.board.image_rom import ImageRom, MemoryMap
from hlsgen.rtl.board.register_host import RegisterHost
from hlsgen.rtl.board.uart import MIN_DIVISOR, UartReceiver, UartTransmitter
from hlsgen.rtl.outside.top import Top
from hlsgen.rtl.parts.ports import join_flat, ports

RESET_CYCLES = 64
"""Cycles from the clock's lock to the end of reset."""
BAUD_TOLERANCE = 0.02
MIN_TIMEOUT_BITS = 20


class Clock(Protocol):
    """What makes the core's clock of the board's; a family's own part of a board."""

    @property
    def mhz(self) -> float:
        """The core's clock."""
        ...

    def make(self, m: Module, source: Signal) -> tuple[Value, Value]:
        """Adds the parts to the module; returns the core's clock and a level that tells it is steady."""
        ...


@dataclass(frozen=True)
class SameClock:
    """The board's clock is the core's."""

    mhz: float

    def make(self, m: Module, source: Signal) -> tuple[Value, Value]:
        core, locked = Signal(), Signal()
        m.d.comb += [core.eq(source), locked.eq(1)]
        return core, locked


@dataclass(frozen=True, kw_only=True)
class Lights:
    """A board's lights: the name of their port, how many, and whether a 0 lights them."""

    port: str = "led"
    count: int = 8
    low: bool = False


@dataclass(frozen=True, kw_only=True)
class Serial:
    """Rate of the serial port, and how long within a request the line may be quiet, in bits."""

    baud: int = 1_000_000
    timeout_bits: int = 100_000

    def divisor(self, core_mhz: float) -> int:
        """Cycles per bit; raises `UsageError` when the clock can't make the rate."""
        hertz = core_mhz * 1e6
        divisor = round(hertz / self.baud) if self.baud > 0 else 0
        problems = []
        if divisor < MIN_DIVISOR or abs(hertz / divisor / self.baud - 1) > BAUD_TOLERANCE:
            problems.append(
                Problem(
                    f"baud must be within {100 * BAUD_TOLERANCE:g} % of {core_mhz:g} MHz divided by an "
                    f"integer from {MIN_DIVISOR} on, not {self.baud!r}"
                )
            )
        if self.timeout_bits < MIN_TIMEOUT_BITS:
            problems.append(
                Problem(f"timeout_bits must be at least {MIN_TIMEOUT_BITS}, not {self.timeout_bits!r}")
            )
        if problems:
            raise UsageError(problems)
        return divisor


MOST_LOGITS = 1 << 16
"""That `Frames` can number."""


def memory_map(program: Program, image: bytes) -> MemoryMap:
    """Where Image, input and output lie; raises `UsageError` when image and program don't belong together.

    The board runs the first task.
    """
    sections = Image.unpack(image)
    if sections.build_id != program.parameters.build_id:
        raise UsageError(
            f"image must have the build id {program.parameters.build_id:#010x} of its program, "
            f"not {sections.build_id:#010x}"
        )
    if logits(program) > MOST_LOGITS:
        raise UsageError(
            Problem(
                f"the outputs must have at most {MOST_LOGITS} integers, not {logits(program)}",
                where=", ".join(layout.tensor for layout in program.results()),
                why="the board numbers what it answers with 16 bits",
                fix="choose fewer outputs (--outputs)",
            )
        )
    sizes = (len(image), sections.input_bytes, sections.output_bytes)
    image_bytes, input_bytes, output_bytes = (ceil_div(size, SECTION_ALIGN) * SECTION_ALIGN for size in sizes)
    return MemoryMap(image_bytes=image_bytes, input_bytes=input_bytes, output_bytes=output_bytes)


def logits(program: Program) -> int:
    """How many integers `Frames` answers with: the logits, or else all that the first task's run writes."""
    return program.output.columns if _is_row(program) else program.drained_size() // 2


def _is_row(program: Program) -> bool:
    """Whether a run gives one row of logits and nothing else."""
    return len(program.results()) == 1 and program.output.rows == 1


def runs(program: Program) -> dict[str, int]:
    """How the logits lie, for `Frames`: between a row's words there are those of its group's other rows."""
    if not _is_row(program):
        return {}
    places, run = program.output.places(program.parameters)[0], program.parameters.columns
    return {"run": run, "pitch": int(places[run])} if len(places) > run else {}


class BoardTop(wiring.Component):
    """The board top. See `Frames` for what goes over the serial port.

    A family's top is this one with the family's clock and target; Image, input and output lie in memories
    that every synthesis tool infers.

    Parameters
    ----------
    program, image
        What to run, and its packed Image.
    clock
        Makes the core's clock.
    clock_pin
        Name of the port at which the board's clock enters.
    serial
        Rate and time limit of the serial port.
    target
        The accelerator's target: a family, or `generic` to simulate without models of the family's cells.
    lights
        The board's.

    Members
    -------
    (clock_pin) : In(1)
        The board's clock.
    uart_rx : In(1), uart_tx : Out(1)
        Serial port.
    (lights.port) : Out(lights.count)
        As many of eight bits: 0 beats as long as there is a clock, 1 an image runs, 2 the board has answered
        an image, 3 its last answer was an error, 4..7 the low bits of the last class.
    """

    uart_rx: Signal
    uart_tx: Signal

    def __init__(
        self,
        program: Program,
        image: bytes,
        *,
        clock: Clock,
        clock_pin: str,
        serial: Serial,
        target: str = "generic",
        lights: Lights | None = None,
    ) -> None:
        self._program, self._target, self._lit = program, target, lights or Lights()
        self._machine = fixed_machine(program)
        self._map = memory_map(program, image)
        self._image = image.ljust(self._map.image_bytes, b"\0")
        self._limit = cycle_limit(predict(program, Image.unpack(image), ON_CHIP).cycles)
        self._clock, self._clock_pin = clock, clock_pin
        self.core_mhz = clock.mhz
        self._divisor = serial.divisor(self.core_mhz)
        self._timeout = self._divisor * serial.timeout_bits
        pins = {clock_pin: In(1), "uart_rx": In(1), "uart_tx": Out(1)}
        super().__init__(pins | {self._lit.port: Out(self._lit.count)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        self._domains(m)
        layout, parameters = self._program.input, self._machine
        bits = self._map.end.bit_length()
        m.submodules.top = top = Top(parameters, target=self._target, address_bits=bits, near=True)
        m.submodules.rom = rom = ImageRom(self._image, self._map, bus_bytes=parameters.bus_bytes)
        m.submodules.host = host = RegisterHost(self._map, self._limit)
        m.submodules.frames = frames = Frames(
            input_bytes=layout.words * parameters.columns,
            classes=logits(self._program),
            timeout=self._timeout,
            **runs(self._program),
        )
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        join_flat(m, top, "m_axi", rom.read)
        join_flat(m, top, "m_axi", rom.write)
        join_flat(m, top, "s_axil", host.bus)
        wiring.connect(m, receiver.o, frames.rx)
        wiring.connect(m, frames.tx, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.uart_rx),
            self.uart_tx.eq(transmitter.tx),
            frames.rx_error.eq(receiver.error),
            rom.input_write.eq(frames.input_write),
            rom.input_address.eq(frames.input_address),
            rom.input_data.eq(frames.input_data),
            rom.output_address.eq(frames.output_address),
            frames.output_data.eq(rom.output_data),
            host.start.eq(frames.start),
            frames.done.eq(host.done),
            frames.code.eq(host.code),
            frames.cycles.eq(host.cycles),
        ]
        self._lights(m, frames)
        return m

    def _domains(self, m: Module) -> None:
        """The core's clock, and a reset that lasts until the clock is steady."""
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True)
        core, locked = self._clock.make(m, ports(self)[self._clock_pin])
        steady, count, held = Signal(), Signal(range(RESET_CYCLES)), Signal(init=1)
        m.submodules.lock = FFSynchronizer(locked, steady, o_domain="start")
        m.d.comb += [
            ClockSignal("sync").eq(core),
            ClockSignal("start").eq(core),
            ResetSignal("sync").eq(held),
        ]
        with m.If(~steady):
            m.d.start += [count.eq(0), held.eq(1)]
        with m.Elif(held):
            m.d.start += [count.eq(count + 1), held.eq(count != RESET_CYCLES - 1)]

    def _lights(self, m: Module, frames: Frames) -> None:
        period = round(self.core_mhz * 1e6).bit_length() - 1
        beat = Signal(period)
        lit = Cat(beat[-1], frames.busy, frames.complete, frames.error, frames.label[:4])[: self._lit.count]
        m.d.sync += [beat.eq(beat + 1), ports(self)[self._lit.port].eq(~lit if self._lit.low else lit)]
