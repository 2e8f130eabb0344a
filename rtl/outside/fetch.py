# SPDX-License-Identifier: Apache-2.0
"""Reads the Image, the input, keys and values: one AXI4 read master that serves sequential channels."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import ClassVar

from amaranth import C, Cat, Const, Module, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.time.depths import CHANNELS, burst_bytes, outstanding
from hlsgen.rtl.format.ports import Place, PlacePorts
from hlsgen.rtl.format.streams import ADDRESS_UNITS, LENGTH_UNITS, UNIT_BITS
from hlsgen.rtl.outside.channel import Channel, channel_shapes
from hlsgen.rtl.parts.axi import ADDRESS_BITS, RESPONSE_ERROR_BIT, AxiRead, AxiReadPorts
from hlsgen.rtl.parts.ports import Bundle

HEADER, COMMANDS, PIXELS, WEIGHTS, CONSTANTS, ADDENDS, OPERANDS = range(len(CHANNELS))


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
        """Pick the next channel in turn and put its burst on AR: a flag for each channel all the way."""
        bus, count = self.bus, len(channels)
        later = Signal(count, init=(1 << count) - 2)  # channels behind the last one served: they come first
        free = Signal()
        m.d.comb += free.eq((~bus.arvalid | bus.arready) & tags.w_rdy & ~self.reset)
        requests: list[Value] = [channel.request for channel in channels]
        pixels, weights = requests[PIXELS], requests[WEIGHTS]
        requests[PIXELS] = pixels & ~(weights & self.weights_first)
        requests[WEIGHTS] = weights & ~(pixels & ~self.weights_first)
        wanted, chosen = Signal(count), Signal(count)
        m.d.comb += [wanted.eq(Cat(requests)), chosen.eq(_next(wanted, later))]
        beats = SECTION_ALIGN // self._bus_bytes
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(free & wanted.any()):
            m.d.sync += [bus.arvalid.eq(1), later.eq(Cat(chosen[:index].any() for index in range(count)))]
        m.d.comb += [
            tags.w_en.eq(free & wanted.any()),
            tags.w_data.eq(_one_of(chosen, [C(index, range(count)) for index in range(count)])),
            bus.arsize.eq(Const(self._bus_bytes.bit_length() - 1)),
            bus.arburst.eq(1),
        ]
        m.d.comb += [channel.grant.eq(free & chosen[index]) for index, channel in enumerate(channels)]
        with m.If(free):
            address = _one_of(chosen, [channel.request_address for channel in channels])
            size = _one_of(chosen, [channel.request_more for channel in channels])
            m.d.sync += [bus.araddr.eq(address << UNIT_BITS), bus.arlen.eq(size * beats + (beats - 1))]

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


def _next(wanted: Value, later: Value) -> Value:
    """A flag for whoever is next: the first one that wants among the `later` ones, or else among all."""

    def before(other: int, index: int) -> Value:
        return later[other] | ~later[index] if other < index else later[other] & ~later[index]

    others = range(len(wanted))
    return Cat(
        wanted[index] & ~Cat(wanted[other] & before(other, index) for other in others if other != index).any()
        for index in others
    )


def _one_of(flags: Value, values: list[Value]) -> Value:
    """The value whose flag is high; 0 without one."""
    kept = [value & flags[index].replicate(len(value)) for index, value in enumerate(values)]
    return reduce(or_, kept)
