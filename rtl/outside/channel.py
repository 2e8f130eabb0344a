# SPDX-License-Identifier: Apache-2.0
"""One sequential reader of the read master: its bursts, its buffer, its words."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.time.depths import channel_beats
from hlsgen.rtl.format.ports import Place, PlacePorts
from hlsgen.rtl.format.streams import ADDRESS_UNITS, LENGTH_UNITS, UNIT_BITS, weight_parts
from hlsgen.rtl.parts.axi import ADDRESS_BITS
from hlsgen.rtl.parts.pipeline import moved
from hlsgen.rtl.parts.ready import ReadyStage
from hlsgen.rtl.parts.resize import Resize


@dataclass(frozen=True)
class ChannelShape:
    """Word width in bits and buffer depth in beats of one channel.

    apart: as for `Resize`, where it widens. loose: the words' `ready` does not reach the buffer.
    """

    word_bits: int
    depth: int
    apart: bool = False
    loose: bool = False


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
    # Whoever takes these words looks at them first. A machine in front of a near memory has a slower clock.
    loose = () if near else ("constants", "header")
    return tuple(
        ChannelShape(bits[name], depth, apart=name == "commands", loose=name in loose)
        for name, depth in channel_beats(p, near).items()
    )


# A section of two bursts, each granted at once:
#
#   cycle                   0     1     2     3     4     5     6     7     8     9
#   place.load              1
#   left, address                 all   all   all   all   rest  rest  rest  rest  none
#   size, sized                         1     1     0     0     1     1     0     0
#   request                                   1     0     0     0     1     0     0
#   grant                                     1                       1
#   bus.arvalid (`Fetch`)                           1                       1
#   place.spent                                                                   1
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
    request, request_address, request_more, grant
        The next burst, aligned so that it crosses no multiple of `burst_bytes`; taken when `grant` is high.
        `request_more`: units beyond the first one.
    beat, write
        A beat for this channel.
    o
        Words in address order.

    Latency
    -------
    One request every four cycles; two cycles from a beat to `o` plus the width converter's.
    """

    o: stream.Interface
    place: PlacePorts
    enable: Signal
    request: Signal
    request_address: Signal
    request_more: Signal
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
                "request_more": Out(range(self._burst)),
                "grant": In(1),
                "beat": In(8 * bus_bytes),
                "write": In(1),
                "o": Out(stream.Signature(shape.word_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        bus_bits, word_bits = 8 * self._bus_bytes, self._shape.word_bits
        m.submodules.buffer = buffer = SyncFIFOBuffered(width=bus_bits, depth=self._shape.depth)
        m.submodules.resize = resize = Resize(
            bus_bits, word_bits, apart=self._shape.apart and word_bits > bus_bits
        )
        beats, words = resize.i, resize.o
        if self._shape.loose:  # on the narrower side
            m.submodules.ready = stage = ReadyStage(min(bus_bits, word_bits))
            if word_bits > bus_bits:
                wiring.connect(m, stage.o, beats)
                beats = stage.i
            else:
                wiring.connect(m, words, stage.i)
                words = stage.o
        wiring.connect(m, words, wiring.flipped(self.o))
        m.d.comb += [
            buffer.w_data.eq(self.beat),
            buffer.w_en.eq(self.write),
            beats.payload.eq(buffer.r_data),
            beats.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(beats.ready),
        ]
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
            self.request_more.eq(size - 1),
        ]
        # All but `ready` learn of a grant a cycle later: the next look at the room comes later still.
        granted, freed = Signal(), Signal()
        m.d.sync += [granted.eq(self.grant), freed.eq(taken)]
        m.d.sync += room.eq(moved(room, freed, granted, size * beats))
        with m.If(self.place.load):
            m.d.sync += [address.eq(self.place.address), left.eq(self.place.units), sized.eq(0), ready.eq(0)]
        with m.Elif(granted):
            m.d.sync += [address.eq(address + size), left.eq(left - size)]
        with m.Else():
            m.d.sync += [size.eq(Mux(left < aligned, left, aligned)), sized.eq(left != 0)]
            m.d.sync += ready.eq(sized & self.enable & (room >= size * beats))
        with m.If(self.grant):
            m.d.sync += [sized.eq(0), ready.eq(0)]
