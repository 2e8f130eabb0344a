# SPDX-License-Identifier: Apache-2.0
"""A whole ECP5 board: clock, reset, serial port, Image in block RAM, and the accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal
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
from hlsgen.rtl.arith.multiplier import plan
from hlsgen.rtl.array.array import block_sums
from hlsgen.rtl.ecp5.frames import Frames
from hlsgen.rtl.ecp5.image_rom import ImageRom, MemoryMap
from hlsgen.rtl.ecp5.pll import Pll, find_pll, pll_instance
from hlsgen.rtl.ecp5.register_host import RegisterHost
from hlsgen.rtl.ecp5.uart import MIN_DIVISOR, UartReceiver, UartTransmitter
from hlsgen.rtl.outside.top import Top

ARRAY, WEIGHT_RING = "top.core.array", "top.core.weight_ring.memory"
"""Paths of the multiplier array and of the memory that its weights come from."""
LEDS = 8
RESET_CYCLES = 64
"""Cycles from the PLL's lock to the end of reset."""
BAUD_TOLERANCE = 0.02
MIN_TIMEOUT_BITS = 20


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
    if program.output.rows != 1:
        raise UsageError(
            Problem(
                f"the output must be one row of logits, not {program.output.rows} rows",
                where=program.output.tensor,
                why="the board answers with a class",
            )
        )
    sizes = (len(image), sections.input_bytes, sections.output_bytes)
    image_bytes, input_bytes, output_bytes = (ceil_div(size, SECTION_ALIGN) * SECTION_ALIGN for size in sizes)
    return MemoryMap(image_bytes=image_bytes, input_bytes=input_bytes, output_bytes=output_bytes)


def runs(program: Program) -> dict[str, int]:
    """How the logits lie, for `Frames`: between a row's words there are those of its group's other rows."""
    places, run = program.output.places(program.parameters)[0], program.parameters.columns
    return {"run": run, "pitch": int(places[run])} if len(places) > run else {}


def _join(m: Module, top: Top, prefix: str, other: Any) -> None:
    """Connect the accelerator's flat ports `prefix_name` with an interface that faces them."""
    for name in other.signature.members:
        port: Signal = getattr(top, f"{prefix}_{name}")
        drives = top.signature.members[f"{prefix}_{name}"].flow == Out
        m.d.comb += getattr(other, name).eq(port) if drives else port.eq(getattr(other, name))


class Ecp5Top(wiring.Component):
    """The board top. See `Frames` for what goes over the serial port.

    Parameters
    ----------
    program, image
        What to run, and its packed Image.
    core_mhz
        The core's clock; the PLL makes it, or the nearest frequency below.
    clock_mhz
        The board's clock.
    serial
        Rate and time limit of the serial port.
    target
        The accelerator's target: `ecp5`, or `generic` to simulate without models of the family's cells.
    pll
        Without it the board's clock is the core's, whatever `core_mhz` says: for simulation.

    Members
    -------
    clk25 : In(1)
        The board's clock.
    uart_rx : In(1), uart_tx : Out(1)
        Serial port.
    led : Out(8)
        Bit 0 beats as long as there is a clock, 1 an image runs, 2 the last one was answered, 3 the last
        answer was an error, 4..7 the low bits of the last class.
    """

    clk25: Signal
    uart_rx: Signal
    uart_tx: Signal
    led: Signal

    def __init__(
        self,
        program: Program,
        image: bytes,
        *,
        core_mhz: float = 80.0,
        clock_mhz: float = 25.0,
        serial: Serial | None = None,
        target: str = "ecp5",
        pll: bool = True,
    ) -> None:
        serial = serial or Serial()
        self._program, self._target = program, target
        self._machine = fixed_machine(program)
        self._map = memory_map(program, image)
        self._image = image.ljust(self._map.image_bytes, b"\0")
        self._limit = cycle_limit(predict(program, Image.unpack(image), ON_CHIP).cycles)
        self._pll: Pll | None = find_pll(clock_mhz, core_mhz) if pll else None
        self.core_mhz = self._pll.mhz if self._pll else clock_mhz
        self._divisor = serial.divisor(self.core_mhz)
        self._timeout = self._divisor * serial.timeout_bits
        super().__init__({"clk25": In(1), "uart_rx": In(1), "uart_tx": Out(1), "led": Out(LEDS)})

    @property
    def sums(self) -> list[list[str]]:
        """Multiplier blocks of the array, each `PATH/CELL`: lists of those whose products are added."""
        sums = block_sums(self._machine, plan(self._machine, self._target).array)
        return [[f"{ARRAY}.{block}" for block in blocks] for blocks in sums]

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        self._clock(m)
        layout, parameters = self._program.input, self._machine
        bits = self._map.end.bit_length()
        m.submodules.top = top = Top(parameters, target=self._target, address_bits=bits, near=True)
        m.submodules.rom = rom = ImageRom(self._image, self._map, bus_bytes=parameters.bus_bytes)
        m.submodules.host = host = RegisterHost(self._map, self._limit)
        m.submodules.frames = frames = Frames(
            input_bytes=layout.words * parameters.columns,
            classes=self._program.output.columns,
            timeout=self._timeout,
            **runs(self._program),
        )
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        _join(m, top, "m_axi", rom.read)
        _join(m, top, "m_axi", rom.write)
        _join(m, top, "s_axil", host.bus)
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

    def _clock(self, m: Module) -> None:
        """The core's clock, and a reset that lasts until the clock is steady."""
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True)
        core, locked = Signal(), Signal()
        if self._pll is None:
            m.d.comb += [core.eq(self.clk25), locked.eq(1)]
        else:
            m.submodules.pll = pll_instance(self._pll, self.clk25, core, locked)
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
        m.d.sync += [
            beat.eq(beat + 1),
            self.led.eq(Cat(beat[-1], frames.busy, frames.complete, frames.error, frames.label[:4])),
        ]
