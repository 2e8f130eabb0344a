# SPDX-License-Identifier: Apache-2.0
"""Reads the Image, the input, keys and values: one AXI4 read master that serves sequential channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amaranth import Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.time.depths import CHANNELS, burst_bytes, channel_beats, outstanding
from hlsgen.rtl.format.ports import Place, PlacePorts
from hlsgen.rtl.format.streams import ADDRESS_UNITS, LENGTH_UNITS, UNIT_BITS, weight_parts
from hlsgen.rtl.parts.axi import ADDRESS_BITS, RESPONSE_ERROR_BIT, AxiRead, AxiReadPorts
from hlsgen.rtl.parts.ports import Bundle
from hlsgen.rtl.parts.resize import Resize

HEADER, COMMANDS, PIXELS, WEIGHTS, CONSTANTS, ADDENDS, OPERANDS = range(len(CHANNELS))


@dataclass(frozen=True)
class ChannelShape:
    """Word width in bits and buffer depth in beats of one channel; `apart` as for `Resize`."""

    word_bits: int
    depth: int
    apart: bool = False


def channel_shapes(parameters: MachineParameters, near: bool = False) -> tuple[ChannelShape, ...]:
    """The channels' shapes in the order of `CHANNELS`."""
    p, word = parameters, parameters.columns * 8
    bits = {
        "header": 32,
        "commands": 8 * COMMAND_BYTES,
        "pixels": word,
        "weights": word * p.depth // weight_parts(p, near),
        "constants": 8 * word_bytes(p.columns),
        "addends": 2 * word * p.row_width,
        "operands": word * p.row_width,
    }
    return tuple(
        ChannelShape(bits[name], depth, apart=near and name == "commands")
        for name, depth in channel_beats(p, near).items()
    )


class OpenPorts(wiring.PureInterface):
    """An interface of `Open`."""

    load: Signal
    channel: Signal
    address: Signal
    units: Signal


class Open(Bundle):
    """Where one of the channels' data lie, from the header's check (`Out`); see `Place`.

    load : Out(1)
        High for one cycle.
    channel : Out
        Whose.
    address, units : Out
        In units of 64 bytes.
    """

    interface: ClassVar = OpenPorts

    def __init__(self) -> None:
        super().__init__(
            {
                "load": Out(1),
                "channel": Out(range(len(CHANNELS))),
                "address": Out(ADDRESS_UNITS),
                "units": Out(LENGTH_UNITS),
            }
        )


# A section of two bursts, each granted at once:
#
#   cycle                   0     1     2     3      4     5     6      7
#   place.load              1
#   left, address                 all   all   all    rest  rest  rest   none
#   size, sized                         1     1      0     1     1      0
#   request                                   1      0     0     1      0
#   grant                                     1                  1
#   bus.arvalid (`Fetch`)                            1                  1
#   place.spent                                                         1
#
# And back: rdata in cycle 0, `beat` and `write` (registers of `Fetch`) in cycle 1, `o` of a word as wide as
# the bus in cycle 3.


class Channel(wiring.Component):
    """One sequential reader: asks for bursts as far as its buffer has room, and buffers what comes.

    Room is taken when a burst is asked for, so that its data can never find the buffer full.

    Parameters
    ----------
    bus_bytes
        Bytes per beat.
    shape
        Word width and buffer depth.
    burst
        Bytes of the largest burst.
    address_bits
        Bits of addresses that are used.

    Members
    -------
    place : In(Place)
        The section to read.
    enable
        Requests are made only while it is high.
    request, request_address, request_units, grant
        The next burst, aligned so that it crosses no multiple of `burst_bytes`; taken when `grant` is high.
    beat, write
        A beat for this channel.
    o
        Words in address order.

    Latency
    -------
    One request every three cycles; two cycles from a beat to `o` plus the width converter's.
    """

    o: stream.Interface
    place: PlacePorts
    enable: Signal
    request: Signal
    request_address: Signal
    request_units: Signal
    grant: Signal
    beat: Signal
    write: Signal

    def __init__(
        self, bus_bytes: int, shape: ChannelShape, *, burst: int, address_bits: int = ADDRESS_BITS
    ) -> None:
        self._bus_bytes, self._shape, self._address_bits = bus_bytes, shape, address_bits
        self._burst = burst // SECTION_ALIGN
        super().__init__(
            {
                "place": In(Place()),
                "enable": In(1),
                "request": Out(1),
                "request_address": Out(ADDRESS_UNITS),
                "request_units": Out(range(self._burst + 1)),
                "grant": In(1),
                "beat": In(8 * bus_bytes),
                "write": In(1),
                "o": Out(stream.Signature(shape.word_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=8 * self._bus_bytes, depth=self._shape.depth)
        m.submodules.resize = resize = Resize(
            8 * self._bus_bytes, self._shape.word_bits, apart=self._shape.apart
        )
        m.d.comb += [
            buffer.w_data.eq(self.beat),
            buffer.w_en.eq(self.write),
            resize.i.payload.eq(buffer.r_data),
            resize.i.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(resize.i.ready),
        ]
        wiring.connect(m, resize.o, wiring.flipped(self.o))
        self._requests(m, buffer.r_rdy & buffer.r_en)
        return m

    def _requests(self, m: Module, taken: Value) -> None:
        beats = SECTION_ALIGN // self._bus_bytes
        unit_bits = self._address_bits - UNIT_BITS
        left, address = Signal(min(LENGTH_UNITS, unit_bits + 1)), Signal(unit_bits, reset_less=True)
        room = Signal(range(self._shape.depth + 1), init=self._shape.depth)
        size, sized, ready = Signal(range(self._burst + 1)), Signal(), Signal()
        aligned = Signal(range(self._burst + 1))
        m.d.comb += [
            aligned.eq(self._burst - (address & (self._burst - 1))),
            self.request.eq(ready),
            self.place.spent.eq(left == 0),
            self.request_address.eq(address),
            self.request_units.eq(size),
        ]
        reserved = Signal.like(room)
        m.d.comb += reserved.eq(Mux(self.grant, size * beats, 0))
        m.d.sync += room.eq(room - reserved + taken)
        with m.If(self.place.load):
            m.d.sync += [address.eq(self.place.address), left.eq(self.place.units), sized.eq(0), ready.eq(0)]
        with m.Elif(self.grant):
            m.d.sync += [address.eq(address + size), left.eq(left - size), sized.eq(0), ready.eq(0)]
        with m.Else():
            m.d.sync += [size.eq(Mux(left < aligned, left, aligned)), sized.eq(left != 0)]
            m.d.sync += ready.eq(sized & self.enable & (room >= size * beats))


class Fetch(wiring.Component):
    """The AXI4 read master: channels, served in turn, a burst each.

    Turns give every channel that has room the same share, so that none can starve; but of pixels and weights,
    which alone can take the whole bus, the one that MULTIPLY waits for goes first. Bursts come back in order;
    a queue remembers whose they are. Reads outlive `reset`: what was asked for before it is dropped when it
    comes.

    Parameters
    ----------
    parameters
        The machine's shape.
    address_bits
        Bits of addresses that are used; those above are 0.
    near
        The memory is on the chip and answers within some cycles: short bursts, shallow buffers.

    Members
    -------
    bus
        AXI4 read master.
    reset
        Empties the channels and stops requests; outstanding reads are then drained and dropped.
    renew
        Empties all channels but the header's; only while they have no read outstanding.
    open
        Sets a channel's section.
    enable
        Lets all channels but the header's make requests; the header's may always.
    weights_first
        Weights go before pixels; otherwise pixels before weights.
    header, commands, pixels, weights, constants, addends, operands
        Streams of words.
    operands_place : In(Place)
        Where keys or values lie; like `operands` only where attention is streamed.
    weights_place, constants_place : In(Place)
        The sections of commands, where commands may be skipped: `open` is then not for them.
    progress
        A beat arrived.
    error, late_error, header_error
        A beat arrived with an error response; late: it was dropped. The header's beats have their own.
    idle
        No read is outstanding.

    Latency
    -------
    Three cycles from R to a word as wide as the bus; one beat per cycle, `rready` is always high.
    """

    bus: AxiReadPorts
    open: OpenPorts
    header: stream.Interface
    commands: stream.Interface
    pixels: stream.Interface
    weights: stream.Interface
    constants: stream.Interface
    addends: stream.Interface
    operands: stream.Interface
    operands_place: PlacePorts
    weights_place: PlacePorts
    constants_place: PlacePorts
    reset: Signal
    renew: Signal
    enable: Signal
    weights_first: Signal
    progress: Signal
    error: Signal
    late_error: Signal
    header_error: Signal
    idle: Signal

    def __init__(
        self, parameters: MachineParameters, *, address_bits: int = ADDRESS_BITS, near: bool = False
    ) -> None:
        self._bus_bytes, self._address_bits = parameters.bus_bytes, address_bits
        self._shapes = channel_shapes(parameters, near)
        self._burst = burst_bytes(self._bus_bytes, near)
        self._outstanding = outstanding(self._bus_bytes, near)
        self._channels = CHANNELS[: len(self._shapes)]
        self._streamed, self._planned = parameters.streamed, parameters.planned
        placed = ("operands_place",) if parameters.streamed else ()
        placed += ("weights_place", "constants_place") if parameters.planned else ()
        super().__init__(
            {
                **{name: In(Place()) for name in placed},
                "bus": Out(AxiRead(self._bus_bytes)),
                **{name: In(1) for name in ("reset", "renew", "enable", "weights_first")},
                "open": In(Open()),
                **{
                    name: Out(stream.Signature(shape.word_bits))
                    for name, shape in zip(self._channels, self._shapes, strict=True)
                },
                **{name: Out(1) for name in ("progress", "error", "late_error", "header_error", "idle")},
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        channels, places = [], self._places()
        words = (self.header, self.commands, self.pixels, self.weights, self.constants, self.addends)
        words += (self.operands,) if self._streamed else ()
        for index, (name, shape, out) in enumerate(zip(self._channels, self._shapes, words, strict=True)):
            channel = Channel(self._bus_bytes, shape, burst=self._burst, address_bits=self._address_bits)
            reset = self.reset if index == HEADER else self.reset | self.renew
            m.submodules[f"channel_{name}"] = ResetInserter(reset)(channel)
            if index in places:
                wiring.connect(m, wiring.flipped(places[index]), channel.place)
            else:
                m.d.comb += [
                    channel.place.load.eq(self.open.load & (self.open.channel == index)),
                    channel.place.address.eq(self.open.address),
                    channel.place.units.eq(self.open.units),
                ]
            m.d.comb += channel.enable.eq(1 if index == HEADER else self.enable)
            wiring.connect(m, channel.o, wiring.flipped(out))
            channels.append(channel)
        width = (len(channels) - 1).bit_length()
        m.submodules.tags = tags = SyncFIFO(width=width, depth=self._outstanding)
        self._address(m, channels, tags)
        self._data(m, channels, tags)
        return m

    def _places(self) -> dict[int, PlacePorts]:
        """The channels whose places somebody else than the header's check says."""
        places = {WEIGHTS: self.weights_place, CONSTANTS: self.constants_place} if self._planned else {}
        return places | ({OPERANDS: self.operands_place} if self._streamed else {})

    def _address(self, m: Module, channels: list[Channel], tags: SyncFIFO) -> None:
        """Pick the next channel in turn and put its burst on AR."""
        bus, turn, count = self.bus, Signal(range(len(channels))), len(channels)
        free, chosen, some = Signal(), Signal(range(count)), Signal()
        m.d.comb += free.eq((~bus.arvalid | bus.arready) & tags.w_rdy & ~self.reset)
        requests: list[Value] = [channel.request for channel in channels]
        pixels, weights = requests[PIXELS], requests[WEIGHTS]
        requests[PIXELS] = pixels & ~(weights & self.weights_first)
        requests[WEIGHTS] = weights & ~(pixels & ~self.weights_first)
        with m.Switch(turn):
            for last in range(count):
                with m.Case(last):  # the channel after the last one served comes first
                    for index in [(last + 1 + step) % count for step in reversed(range(count))]:
                        with m.If(requests[index]):
                            m.d.comb += [chosen.eq(index), some.eq(1)]
        beats = SECTION_ALIGN // self._bus_bytes
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(free & some):
            m.d.sync += [bus.arvalid.eq(1), turn.eq(chosen)]
        m.d.comb += [
            tags.w_en.eq(free & some),
            tags.w_data.eq(chosen),
            bus.arsize.eq(Const(self._bus_bytes.bit_length() - 1)),
            bus.arburst.eq(1),
        ]
        with m.Switch(chosen):
            for index, channel in enumerate(channels):
                with m.Case(index):
                    m.d.comb += channel.grant.eq(free & some)
                    with m.If(free):
                        m.d.sync += [
                            bus.araddr.eq(channel.request_address << UNIT_BITS),
                            bus.arlen.eq(channel.request_units * beats - 1),
                        ]

    def _data(self, m: Module, channels: list[Channel], tags: SyncFIFO) -> None:
        """Register R and hand it to the channel whose burst it is, or drop it."""
        bus, drop = self.bus, Signal(range(self._outstanding + 1))
        ended, keep = Signal(), Signal()
        m.d.comb += [
            bus.rready.eq(1),
            ended.eq(bus.rvalid & bus.rlast & tags.r_rdy),
            tags.r_en.eq(ended),
            keep.eq(bus.rvalid & tags.r_rdy & (drop == 0) & ~self.reset),
            self.idle.eq(~tags.r_rdy),
        ]
        with m.If(self.reset):
            m.d.sync += drop.eq(tags.r_level - ended)
        with m.Elif(ended & (drop != 0)):
            m.d.sync += drop.eq(drop - 1)
        failed = bus.rvalid & tags.r_rdy & bus.rresp[RESPONSE_ERROR_BIT]
        header = tags.r_data == HEADER
        beat, write = Signal(8 * self._bus_bytes, reset_less=True), Signal()
        owner = Signal(len(tags.r_data), reset_less=True)
        m.d.sync += [
            beat.eq(bus.rdata),
            write.eq(keep),
            owner.eq(tags.r_data),
            self.progress.eq(bus.rvalid),
            self.error.eq(failed & keep & ~header),
            self.late_error.eq(failed & ~keep & ~header),
            self.header_error.eq(failed & keep & header),
        ]
        for index, channel in enumerate(channels):
            m.d.comb += [channel.beat.eq(beat), channel.write.eq(write & (owner == index))]
