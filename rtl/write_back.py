"""Writes the output words to external memory: an AXI4 write master."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hlsgen.machine.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.rtl.axi import ADDRESS_BITS, RESPONSE_ERROR_BIT, AxiWrite
from hlsgen.rtl.fetch import ADDRESS_UNITS, LENGTH_UNITS, UNIT_BITS, burst_bytes
from hlsgen.rtl.resize import Resize

OUTSTANDING = 15
"""Write bursts without a response that may be under way."""


class WriteBack(wiring.Component):
    """Gathers output words into bursts; after `finish` it fills up with zeros to the given length.

    A burst starts only when all its data are there. Words beyond the given length are taken and dropped.
    Writes outlive `reset`: a burst under way then ends with zero strobes, and late responses are ignored.

    Parameters
    ----------
    parameters
        The machine's shape.
    address_bits
        Bits of addresses that are used; those above are 0.

    Members
    -------
    bus
        AXI4 write master.
    reset
        Forgets what was gathered and starts no burst.
    load, address, units
        Where the output goes, in units of 64 bytes.
    i
        Output words.
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
    Five cycles from a burst's last word, as wide as the bus, to W; one beat per cycle within a burst.
    """

    bus: Any
    i: Any
    reset: Signal
    load: Signal
    address: Signal
    units: Signal
    finish: Signal
    done: Signal
    idle: Signal
    progress: Signal
    error: Signal

    def __init__(self, parameters: MachineParameters, *, address_bits: int = ADDRESS_BITS) -> None:
        self._address_bits = address_bits
        self._bus_bytes = parameters.bus_bytes
        self._word_bits = 16 * parameters.columns * parameters.row_width
        self._burst = burst_bytes(self._bus_bytes) // SECTION_ALIGN
        self._beats = SECTION_ALIGN // self._bus_bytes
        super().__init__(
            {
                "bus": Out(AxiWrite(self._bus_bytes)),
                "reset": In(1),
                "load": In(1),
                "address": In(ADDRESS_UNITS),
                "units": In(LENGTH_UNITS),
                "i": In(stream.Signature(self._word_bits)),
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
        buffer = SyncFIFOBuffered(width=8 * self._bus_bytes, depth=depth)
        resize = Resize(self._word_bits, 8 * self._bus_bytes)
        m.submodules.buffer = ResetInserter(self.reset)(buffer)
        m.submodules.resize = ResetInserter(self.reset)(resize)
        wanted = Signal(LENGTH_UNITS + 4)
        self._gather(m, resize, buffer, wanted)
        self._send(m, buffer, wanted)
        return m

    def _gather(self, m: Module, resize: Resize, buffer: SyncFIFOBuffered, wanted: Signal) -> None:
        """Words to beats; zeros after `finish`; beats beyond `wanted` are dropped."""
        enough = wanted == 0
        m.d.comb += [
            resize.i.payload.eq(Mux(self.finish, 0, self.i.payload)),
            resize.i.valid.eq(self.i.valid | self.finish),
            self.i.ready.eq(resize.i.ready),
            buffer.w_data.eq(resize.o.payload),
            buffer.w_en.eq(resize.o.valid & ~enough),
            resize.o.ready.eq(buffer.w_rdy | enough),
        ]
        with m.If(self.load):
            m.d.sync += wanted.eq(self.units * self._beats)
        with m.Elif(buffer.w_en & buffer.w_rdy):
            m.d.sync += wanted.eq(wanted - 1)

    def _send(self, m: Module, buffer: SyncFIFOBuffered, wanted: Signal) -> None:
        bus, beats = self.bus, self._beats
        unit_bits = self._address_bits - UNIT_BITS
        left, address = Signal(min(LENGTH_UNITS, unit_bits + 1)), Signal(unit_bits, reset_less=True)
        size, sized = Signal(range(self._burst + 1)), Signal()
        owed, poison = Signal(range(self._burst * beats + 1)), Signal()
        waiting, stale = Signal(range(OUTSTANDING + 1)), Signal(range(OUTSTANDING + 1))
        aligned = Signal(range(self._burst + 1))
        m.d.comb += aligned.eq(self._burst - (address & (self._burst - 1)))
        m.d.sync += [size.eq(Mux(left < aligned, left, aligned)), sized.eq(left != 0)]

        start, move = Signal(), Signal()
        full = sized & (buffer.r_level >= size * beats)
        m.d.comb += [
            start.eq(full & (owed == 0) & ~bus.awvalid & (waiting != OUTSTANDING) & ~self.reset & ~self.load),
            move.eq((owed != 0) & (~bus.wvalid | bus.wready)),
            buffer.r_en.eq(move & ~poison),
        ]
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(start):
            m.d.sync += [
                bus.awvalid.eq(1),
                bus.awaddr.eq(address << UNIT_BITS),
                bus.awlen.eq(size * beats - 1),
                owed.eq(size * beats),
                address.eq(address + size),
                left.eq(left - size),
                sized.eq(0),
            ]
        with m.If(self.load):
            m.d.sync += [address.eq(self.address), left.eq(self.units), sized.eq(0)]
        with m.Elif(self.reset):
            m.d.sync += [left.eq(0), sized.eq(0)]

        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(move):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(Mux(poison | self.reset, 0, buffer.r_data)),
                bus.wstrb.eq(Mux(poison | self.reset, 0, (1 << self._bus_bytes) - 1)),
                bus.wlast.eq(owed == 1),
                owed.eq(owed - 1),
            ]
        m.d.sync += poison.eq((poison | self.reset) & (owed != 0) & ~(move & (owed == 1)))

        answer = Signal()
        m.d.comb += [
            bus.bready.eq(1),
            answer.eq(bus.bvalid & (waiting != 0)),
            bus.awsize.eq(Const(self._bus_bytes.bit_length() - 1)),
            bus.awburst.eq(1),
            self.idle.eq((owed == 0) & ~bus.awvalid & ~bus.wvalid & (waiting == 0)),
            self.done.eq(self.idle & (left == 0) & (wanted == 0)),
        ]
        m.d.sync += waiting.eq(waiting + start - answer)
        with m.If(self.reset):
            m.d.sync += stale.eq(waiting - answer)
        with m.Elif(answer & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)
        m.d.sync += [
            self.progress.eq(start | move | answer),
            self.error.eq(answer & (stale == 0) & bus.bresp[RESPONSE_ERROR_BIT] & ~self.reset),
        ]
