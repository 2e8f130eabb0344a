# SPDX-License-Identifier: Apache-2.0
"""The external memory of a board that has none: Image, input and output in block RAM behind AXI4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import C, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div
from hlsgen.machine.time.latency import IMAGE_ROM
from hlsgen.rtl.parts.axi import ADDRESS_BITS, AxiRead, AxiReadPorts, AxiWrite, AxiWritePorts
from hlsgen.rtl.parts.pipeline import address_bits, delay
from hlsgen.rtl.parts.queues import Queue

OKAY, SLAVE_ERROR, DECODE_ERROR = 0, 2, 3
"""Responses: SLVERR for bursts that aren't incrementing or not as wide as the bus, DECERR for addresses."""
QUEUE = 4
"""Read bursts that wait behind the one under way."""
BANK_WORDS = 2048
"""Depth of a block RAM at its widest."""
BANKS = 8
"""Most banks: beyond it they get deeper instead, for their outputs meet in one multiplexer."""


SMALL_WORDS = 16
"""Depth of a buffer up to which LUT memory is cheaper than block RAM."""


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """Where things lie: the Image at 0, then the input, then the output.

    Sizes are in bytes, multiples of 64. Each buffer begins at a multiple of its own size rounded up to a
    power of two, at least 128, so that the low address bits are the place in it. What lies between answers
    with an error.
    """

    image_bytes: int
    input_bytes: int
    output_bytes: int

    def __post_init__(self) -> None:
        sizes = {
            "image_bytes": self.image_bytes,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
        }
        for name, size in sizes.items():
            if size <= 0 or size % SECTION_ALIGN:
                raise ValueError(f"{name} must be a positive multiple of {SECTION_ALIGN}, not {size!r}")

    @property
    def input_base(self) -> int:
        return _after(self.image_bytes, self.input_bytes)

    @property
    def output_base(self) -> int:
        return _after(self.input_base + self.input_bytes, self.output_bytes)

    @property
    def end(self) -> int:
        """First address after everything."""
        return self.output_base + self.output_bytes


def _after(start: int, size: int) -> int:
    room = max(2 * SECTION_ALIGN, 1 << (size - 1).bit_length())
    return ceil_div(start, room) * room


def _choose(items: Sequence[Value], select: Value) -> Value:
    """One of some items; a tree of two-way choices costs half of what a case statement does."""
    bit = 0
    while len(items) > 1:
        pairs = [items[i : i + 2] for i in range(0, len(items), 2)]
        items = [Mux(select[bit], pair[1], pair[0]) if len(pair) == 2 else pair[0] for pair in pairs]
        bit += 1
    return items[0]


def _two_later(m: Module, value: Value, advance: Value, name: str) -> Signal:
    """`value` two cycles later, of those in which `advance` is high."""
    first, second = (Signal(value.shape(), name=f"{name}_{number}") for number in range(2))
    with m.If(advance):
        m.d.sync += [first.eq(value), second.eq(first)]
    return second


class ImageRom(wiring.Component):
    """AXI4 slave in front of the Image (read only), the input (read only) and the output (write only).

    Bursts must be incrementing and as wide as the bus; addresses count in whole beats. A beat outside the map
    answers DECERR with zeros, or isn't written.

    Parameters
    ----------
    image
        The Image; its size is that of the map.
    memory_map
        Where everything lies.
    bus_bytes
        Bytes per beat.

    Members
    -------
    read, write
        The two halves of the AXI4 slave.
    input_write, input_address, input_data
        Writes a byte of the input; before anything was written it is all zeros.
    output_address, output_data
        Reads a byte of the output, three cycles later.

    Latency
    -------
    `latency` cycles from AR to the first beat when nothing is under way; a write responds one cycle after its
    last beat.

    Throughput
    ----------
    One beat a cycle, from one read burst to the next as well; between write bursts three cycles pass.
    """

    latency = IMAGE_ROM
    read: AxiReadPorts
    write: AxiWritePorts
    input_write: Signal
    input_address: Signal
    input_data: Signal
    output_address: Signal
    output_data: Signal

    def __init__(self, image: bytes, memory_map: MemoryMap, *, bus_bytes: int) -> None:
        if len(image) != memory_map.image_bytes:
            raise ValueError(f"image must have {memory_map.image_bytes} bytes, not {len(image)}")
        self._map, self._bytes = memory_map, bus_bytes
        self._shift = bus_bytes.bit_length() - 1
        # A burst of 256 beats that starts inside can't wrap around.
        self._index_bits = max(8, ((memory_map.end - 1) >> self._shift).bit_length()) + 1
        self._words = [
            int.from_bytes(image[i : i + bus_bytes], "little") for i in range(0, len(image), bus_bytes)
        ]
        super().__init__(
            {
                "read": In(AxiRead(bus_bytes)),
                "write": In(AxiWrite(bus_bytes)),
                "input_write": In(1),
                "input_address": In(address_bits(memory_map.input_bytes)),
                "input_data": In(8),
                "output_address": In(address_bits(memory_map.output_bytes)),
                "output_data": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        self._reader(m)
        self._writer(m)
        return m

    def _entry(self, address: Value, size: Value, burst: Value) -> tuple[Value, Value, Value]:
        """A burst's first word, whether it is beyond everything, and whether it is of a kind not served."""
        edge = self._shift + self._index_bits - 1
        far = address[edge:ADDRESS_BITS].any()
        return address[self._shift : edge], far, (size != self._shift) | (burst != 1)

    def _inside(self, index: Signal, base: int, size: int) -> Value:
        first, end = base >> self._shift, (base + size) >> self._shift
        below = index < end
        return below & (index >= first) if first else below

    def _reader(self, m: Module) -> None:
        """Burst queue, walk over the words of a burst, RAM, RAM's output register, R."""
        bus, where = self.read, self._map
        advance = Signal()
        m.d.comb += advance.eq(~bus.rvalid | bus.rready)
        index, valid, last, far, alien = self._walk(m, advance)
        image = self._banks(m, index, advance)
        pixels = self._input(m, index, advance)
        stages: list[tuple[Value, ...]] = [
            (
                valid,
                last,
                alien,
                self._inside(index, 0, where.image_bytes) & ~far,
                self._inside(index, where.input_base, where.input_bytes) & ~far,
            )
        ]
        for number in range(2):
            stage = tuple(Signal(name=f"flag_{number}_{i}") for i in range(len(stages[0])))
            with m.If(advance):
                m.d.sync += [new.eq(old) for new, old in zip(stage, stages[-1], strict=True)]
            stages.append(stage)
        valid, last, alien, in_image, in_input = stages[-1]
        with m.If(advance):
            m.d.sync += [
                bus.rvalid.eq(valid),
                bus.rlast.eq(last),
                bus.rdata.eq(Mux(in_image, image, Mux(in_input, pixels, 0))),
                bus.rresp.eq(Mux(alien, SLAVE_ERROR, Mux(in_image | in_input, OKAY, DECODE_ERROR))),
            ]

    def _walk(self, m: Module, advance: Signal) -> tuple[Signal, Signal, Value, Signal, Signal]:
        """The word of every beat, in turn; the next burst follows without a gap."""
        bus = self.read
        layout = data.StructLayout({"index": self._index_bits - 1, "beats": 8, "far": 1, "alien": 1})
        m.submodules.queue = queue = Queue(layout, QUEUE)
        first, beyond, other = self._entry(bus.araddr, bus.arsize, bus.arburst)
        m.d.comb += [
            queue.i.valid.eq(bus.arvalid),
            bus.arready.eq(queue.i.ready),
            queue.i.payload.index.eq(first),
            queue.i.payload.beats.eq(bus.arlen),
            queue.i.payload.far.eq(beyond),
            queue.i.payload.alien.eq(other),
        ]
        index, left, valid, last = Signal(self._index_bits), Signal(8), Signal(), Signal()
        far, alien = Signal(), Signal()
        m.d.comb += queue.o.ready.eq(~valid | (advance & last))
        with m.If(queue.o.ready):
            m.d.sync += [
                valid.eq(queue.o.valid),
                index.eq(queue.o.payload.index),
                left.eq(queue.o.payload.beats),
                last.eq(queue.o.payload.beats == 0),
                far.eq(queue.o.payload.far),
                alien.eq(queue.o.payload.alien),
            ]
        with m.Elif(advance):
            m.d.sync += [index.eq(index + 1), left.eq(left - 1), last.eq(left == 1)]
        return index, valid, last, far, alien

    def _banks(self, m: Module, index: Signal, advance: Signal) -> Value:
        """The Image's word two cycles after `index`: banks with a register each, then the choice of one."""
        depth = BANK_WORDS
        while ceil_div(len(self._words), depth) > BANKS:
            depth *= 2
        bits = depth.bit_length() - 1
        found, choice = [], index[bits : bits + BANKS.bit_length() - 1]
        for number in range(ceil_div(len(self._words), depth)):
            words = self._words[number * depth : (number + 1) * depth]
            memory = Memory(shape=unsigned(8 * self._bytes), depth=max(2, len(words)), init=words)
            m.submodules[f"bank_{number}"] = memory
            found.append(self._read_port(m, memory, index[:bits], advance, f"word_{number}"))
        return _choose(found, _two_later(m, choice, advance, "choice"))

    def _read_port(self, m: Module, memory: Memory, address: Value, advance: Value, name: str) -> Value:
        """The word two cycles after its address; of LUT memory, which has no register, the address waits."""
        if memory.depth <= SMALL_WORDS:
            place = address[: address_bits(memory.depth)]
            small = memory.read_port(domain="comb")
            m.d.comb += small.addr.eq(_two_later(m, place, advance, f"{name}_address"))
            return Value.cast(small.data)
        port, word = memory.read_port(), Signal(8 * self._bytes, name=name, reset_less=True)
        m.d.comb += [port.addr.eq(address), port.en.eq(advance)]
        with m.If(advance):
            m.d.sync += word.eq(port.data)
        return word

    def _buffer(self, m: Module, name: str, size: int) -> Memory:
        depth = max(2, size // self._bytes)
        style = {} if depth <= SMALL_WORDS else {"ram_style": "block"}
        memory = Memory(shape=unsigned(8 * self._bytes), depth=depth, init=[], attrs=style)
        m.submodules[name] = memory
        return memory

    def _input(self, m: Module, index: Signal, advance: Signal) -> Value:
        """The input's word two cycles after `index`; its bytes are written one at a time."""
        memory = self._buffer(m, "input_words", self._map.input_bytes)
        write, address = memory.write_port(granularity=8), self.input_address
        enable = Signal(self._bytes)
        m.d.comb += write.en.eq(enable)
        m.d.sync += [
            enable.eq(self.input_write << address[: self._shift]),
            write.addr.eq(address[self._shift :]),
            write.data.eq(Cat([self.input_data] * self._bytes)),
        ]
        return self._read_port(m, memory, index, advance, "input_word")

    def _writer(self, m: Module) -> None:
        """One write burst at a time into the output, whose bytes are read one at a time."""
        bus, where = self.write, self._map
        memory = self._buffer(m, "output_words", where.output_bytes)
        self._read_output(m, memory)
        port = memory.write_port(granularity=8)
        index, busy, far = Signal(self._index_bits), Signal(), Signal()
        inside, response = Signal(), Signal(2)
        first, beyond, alien = self._entry(bus.awaddr, bus.awsize, bus.awburst)
        m.d.comb += [
            bus.awready.eq(~busy & ~bus.bvalid),
            bus.wready.eq(busy),
            inside.eq(self._inside(index, where.output_base, where.output_bytes) & ~far),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [index.eq(first), far.eq(beyond), busy.eq(1)]
            m.d.sync += response.eq(Mux(alien, SLAVE_ERROR, OKAY))
        enable = Signal(self._bytes)
        m.d.comb += port.en.eq(enable)
        m.d.sync += [enable.eq(0), port.addr.eq(index), port.data.eq(bus.wdata)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(busy & bus.wvalid):
            m.d.sync += [index.eq(index + 1), busy.eq(~bus.wlast), bus.bvalid.eq(bus.wlast)]
            with m.If((response == OKAY) & ~inside):
                m.d.sync += [bus.bresp.eq(DECODE_ERROR), response.eq(DECODE_ERROR)]
            with m.Else():
                m.d.sync += bus.bresp.eq(response)
            with m.If(inside & (response != SLAVE_ERROR)):
                m.d.sync += enable.eq(bus.wstrb)

    def _read_output(self, m: Module, memory: Memory) -> None:
        word = self._read_port(m, memory, self.output_address[self._shift :], C(1, 1), "output_word")
        place = delay(m, self.output_address[: self._shift], 2, name="place")
        m.d.sync += self.output_data.eq(word.word_select(place, 8))
