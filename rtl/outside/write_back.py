# SPDX-License-Identifier: Apache-2.0
"""Writes the output, keys and values to external memory: an AXI4 write master."""

from __future__ import annotations

from amaranth import Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.time.depths import burst_bytes
from hlsgen.rtl.format.jobs import output_word
from hlsgen.rtl.format.streams import ADDRESS_UNITS, LENGTH_UNITS, UNIT_BITS
from hlsgen.rtl.outside.store_words import StoreWords
from hlsgen.rtl.parts.axi import ADDRESS_BITS, RESPONSE_ERROR_BIT, AxiWrite, AxiWritePorts
from hlsgen.rtl.parts.resize import Resize

OUTSTANDING = 15
"""Write bursts without a response that may be under way."""


def _beat(bus_bytes: int) -> data.StructLayout:
    """A beat in the buffer; see `StoreWords` for its flags."""
    return data.StructLayout({"data": 8 * bus_bytes, "store": 1, "values": 1, "first": 1})


# The last word of a burst of n beats, as wide as the bus:
#
#   cycle            0     1       2     3       4 ..   n+2
#   i                word
#   buffer, full           1
#   start                  1
#   awvalid                        1
#   owed                           n     n-1     ..     0
#   move                           1     1       ..
#   wvalid                               beat 0  ..     beat n-1
#   wlast                                               1


class WriteBack(wiring.Component):
    """Gathers output words into bursts; after `finish` it fills up with zeros to the given length.

    A burst starts only when all its data are there. Words beyond the given length are taken and dropped.
    Keys and values, which come before all output words, leave in bursts of 64 bytes; beyond the workspace's
    end they go to its begin, so that no Image can make them go anywhere else.
    Writes outlive `reset`: a burst under way then ends with zero strobes, and late responses are ignored.

    Parameters
    ----------
    parameters
        The machine's shape.
    address_bits
        Bits of addresses that are used; those above are 0.
    near
        The memory is on the chip: see `Fetch`.

    Members
    -------
    bus
        AXI4 write master.
    reset
        Forgets what was gathered and starts no burst.
    load, address, units
        Where the output goes, in units of 64 bytes.
    workspace, stored
        Where keys and values lie, in units of 64 bytes; all that have come are written. Only where attention
        is streamed.
    i
        Output words, keys and values.
    finish
        No further words will come.
    done
        Everything is written and every response has come (while `load` is not high).
    idle
        No write is outstanding.
    progress
        The bus took or gave something.
    error
        An error response came.

    Latency
    -------
    Three cycles from a burst's last word, as wide as the bus, to W; one beat per cycle within a burst.
    """

    bus: AxiWritePorts
    i: stream.Interface
    reset: Signal
    workspace: Signal
    stored: Signal
    load: Signal
    address: Signal
    units: Signal
    finish: Signal
    done: Signal
    idle: Signal
    progress: Signal
    error: Signal

    def __init__(
        self, parameters: MachineParameters, *, address_bits: int = ADDRESS_BITS, near: bool = False
    ) -> None:
        self._address_bits = address_bits
        self._parameters, self._bus_bytes = parameters, parameters.bus_bytes
        self._word_bits = 16 * parameters.columns * parameters.row_width
        self._burst = burst_bytes(self._bus_bytes, near) // SECTION_ALIGN
        self._beats = SECTION_ALIGN // self._bus_bytes
        super().__init__(
            {
                "bus": Out(AxiWrite(self._bus_bytes)),
                "reset": In(1),
                "load": In(1),
                "address": In(ADDRESS_UNITS),
                "units": In(LENGTH_UNITS),
                "i": In(stream.Signature(output_word(parameters))),
                **({"workspace": In(ADDRESS_UNITS), "stored": Out(1)} if parameters.streamed else {}),
                "finish": In(1),
                "done": Out(1),
                "idle": Out(1),
                "progress": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        depth = 2 * self._burst * self._beats
        buffer = SyncFIFOBuffered(width=_beat(self._bus_bytes).size, depth=depth)
        resize = Resize(self._word_bits, 8 * self._bus_bytes)
        m.submodules.buffer = ResetInserter(self.reset)(buffer)
        m.submodules.resize = ResetInserter(self.reset)(resize)
        wanted = Signal(LENGTH_UNITS + 4)
        enough = Signal(init=1)  # wanted == 0
        self._gather(m, resize, buffer, wanted, enough)
        self._send(m, buffer, enough)
        return m

    def _gather(
        self, m: Module, resize: Resize, buffer: SyncFIFOBuffered, wanted: Signal, enough: Signal
    ) -> None:
        """Words to beats; zeros after `finish`; beats beyond `wanted` are dropped."""
        m.d.comb += [
            resize.i.payload.eq(Mux(self.finish, 0, self.i.payload.data)),
            resize.i.valid.eq(self.i.valid | self.finish),
            self.i.ready.eq(resize.i.ready),
            buffer.w_data[: 8 * self._bus_bytes].eq(resize.o.payload),
            buffer.w_en.eq(resize.o.valid & ~enough),
            resize.o.ready.eq(buffer.w_rdy | enough),
        ]
        if self._parameters.streamed:
            self._gather_stores(m, resize, buffer)
        with m.If(self.load):
            m.d.sync += [wanted.eq(self.units * self._beats), enough.eq(self.units == 0)]
        with m.Elif(resize.o.valid & resize.o.ready & ~enough):
            m.d.sync += [wanted.eq(wanted - 1), enough.eq(wanted == 1)]

    def _gather_stores(self, m: Module, resize: Resize, buffer: SyncFIFOBuffered) -> None:
        """Keys and values take the output's place in the buffer."""
        m.submodules.stores = stores = ResetInserter(self.reset)(StoreWords(self._parameters))
        beat = data.View(_beat(self._bus_bytes), buffer.w_data)
        m.d.comb += [stores.i.payload.eq(self.i.payload), stores.i.valid.eq(self.i.valid)]
        with m.If(self.i.payload.store):
            m.d.comb += [resize.i.valid.eq(self.finish), self.i.ready.eq(stores.i.ready)]
        with m.Else():
            m.d.comb += stores.i.valid.eq(0)
        with m.If(stores.o.valid):
            m.d.comb += [
                beat.eq(stores.o.payload),
                buffer.w_en.eq(1),
                stores.o.ready.eq(buffer.w_rdy),
                resize.o.ready.eq(0),
            ]
        level: Value = buffer.level  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
        m.d.comb += self.stored.eq(self.idle & ~stores.busy & (level == 0))

    def _send(self, m: Module, buffer: SyncFIFOBuffered, enough: Signal) -> None:
        """Bursts to AW and W, answers from B, and what is told of them."""
        bus, owed, owes = self.bus, Signal(range(self._burst * self._beats + 1)), Signal()
        start, move, waiting = Signal(), Signal(), Signal(range(OUTSTANDING + 1))
        free = ~owes & ~bus.awvalid & (waiting != OUTSTANDING)
        length, left = self._start(m, buffer, start, free)
        self._move(m, buffer, (owed, owes), move, start, length)
        answer = self._answer(m, start, waiting)
        m.d.comb += self.idle.eq(~owes & ~bus.awvalid & ~bus.wvalid & (waiting == 0))
        m.d.sync += [
            self.done.eq(self.idle & (left == 0) & enough),
            self.progress.eq(start | move | answer),
        ]

    def _start(
        self, m: Module, buffer: SyncFIFOBuffered, start: Signal, free: Value
    ) -> tuple[Signal, Signal]:
        """The next burst to AW once all its data are there; returns its units, and the output's left."""
        bus, beats = self.bus, self._beats
        unit_bits = self._address_bits - UNIT_BITS
        left, address = Signal(min(LENGTH_UNITS, unit_bits + 1)), Signal(unit_bits, reset_less=True)
        size, sized = Signal(range(self._burst + 1)), Signal()
        aligned = Signal(range(self._burst + 1))
        m.d.comb += aligned.eq(self._burst - (address & (self._burst - 1)))
        m.d.sync += [size.eq(Mux(left < aligned, left, aligned)), sized.eq(left != 0)]
        stores, at, length = Signal(), Signal(unit_bits), Signal.like(size)
        m.d.comb += [at.eq(address), length.eq(size)]
        there, goes = Signal(), Signal()
        m.d.sync += there.eq(sized & ~goes & (buffer.r_level >= size * beats))
        full = sized & there
        if self._parameters.streamed:
            full = self._store_burst(m, buffer, full, (stores, at, length), start)
        # What a reset or a new place sets anyhow does not wait for them.
        m.d.comb += [
            goes.eq(full & free),
            start.eq(goes & ~self.reset & ~self.load),
            bus.awsize.eq(Const(self._bus_bytes.bit_length() - 1)),
            bus.awburst.eq(1),
        ]
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(start):
            m.d.sync += bus.awvalid.eq(1)
        with m.If(goes):
            m.d.sync += [bus.awaddr.eq(at << UNIT_BITS), bus.awlen.eq(length * beats - 1)]
        with m.If(goes & ~stores):
            m.d.sync += [address.eq(address + size), left.eq(left - size), sized.eq(0)]
        with m.If(self.load):
            m.d.sync += [address.eq(self.address), left.eq(self.units), sized.eq(0)]
        with m.Elif(self.reset):
            m.d.sync += [left.eq(0), sized.eq(0)]
        return length, left

    def _move(
        self,
        m: Module,
        buffer: SyncFIFOBuffered,
        debt: tuple[Signal, Signal],
        move: Signal,
        start: Value,
        length: Value,
    ) -> None:
        """The burst's beats to W; without their strobes after a reset.

        debt: how many more the bus gets, and whether it gets any.
        """
        bus, poison, (owed, owes) = self.bus, Signal(), debt
        m.d.comb += [
            move.eq(owes & (~bus.wvalid | bus.wready)),
            buffer.r_en.eq(move & ~poison),
        ]
        with m.If(start):
            m.d.sync += [owed.eq(length * self._beats), owes.eq(1)]
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(move):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(Mux(poison | self.reset, 0, buffer.r_data[: 8 * self._bus_bytes])),
                bus.wstrb.eq(Mux(poison | self.reset, 0, (1 << self._bus_bytes) - 1)),
                bus.wlast.eq(owed == 1),
                owed.eq(owed - 1),
                owes.eq(owed != 1),
            ]
        m.d.sync += poison.eq((poison | self.reset) & owes & ~(move & (owed == 1)))

    def _answer(self, m: Module, start: Value, waiting: Signal) -> Signal:
        """B: whether a burst's response comes; those of bursts before a reset are stale."""
        bus, answer, stale = self.bus, Signal(), Signal.like(waiting)
        m.d.comb += [bus.bready.eq(1), answer.eq(bus.bvalid & (waiting != 0))]
        m.d.sync += waiting.eq(waiting + start - answer)
        with m.If(self.reset):
            m.d.sync += stale.eq(waiting - answer)
        with m.Elif(answer & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)
        m.d.sync += self.error.eq(answer & (stale == 0) & bus.bresp[RESPONSE_ERROR_BIT] & ~self.reset)
        return answer

    def _store_burst(
        self,
        m: Module,
        buffer: SyncFIFOBuffered,
        full: Value,
        burst: tuple[Signal, Signal, Signal],
        start: Signal,
    ) -> Value:
        """A burst of 64 bytes where keys or values come next; whether all of the next burst is there."""
        beat, (stores, at, length) = data.View(_beat(self._bus_bytes), buffer.r_data), burst
        units = self._parameters.workspace_units
        place, following = Signal(range(2 * units)), Signal(range(2 * units))
        m.d.comb += stores.eq(buffer.r_rdy & beat.store)
        with m.If(stores):
            m.d.comb += place.eq(Mux(beat.first, Mux(beat.values, units, 0), following))
            m.d.comb += [at.eq(self.workspace + place), length.eq(1)]
            with m.If(start):
                m.d.sync += following.eq(Mux(place == 2 * units - 1, 0, place + 1))
        # What comes next shows only once it is at the buffer's end.
        return buffer.r_rdy & Mux(stores, buffer.r_level >= self._beats, full)
