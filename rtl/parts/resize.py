# SPDX-License-Identifier: Apache-2.0
"""Width converters: a stream of words as a stream of wider or narrower words, low part first."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Resize(wiring.Component):
    """Gathers narrow words into wide ones or cuts wide words into narrow ones.

    Parameters
    ----------
    source_bits, sink_bits
        Widths; one is a multiple of the other.
    apart
        Where words are widened, no narrow word is taken while a wide one waits: no path leads from `o.ready`
        to the enables of a register as wide as that.

    Members
    -------
    i, o
        Streams; the first narrow word is the low end of the wide one.

    Latency
    -------
    Widening: the wide word is valid one cycle after its last part. Narrowing: the first part one cycle
    after the wide word. Equal widths: no register. One narrow word per cycle, without gaps; with `apart` one
    cycle passes after a wide word.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, source_bits: int, sink_bits: int, *, apart: bool = False) -> None:
        wide, narrow = max(source_bits, sink_bits), min(source_bits, sink_bits)
        if narrow <= 0 or wide % narrow:
            raise ValueError(f"{source_bits} and {sink_bits} bits must be multiples of each other")
        self._ratio = wide // narrow
        self._widen, self._apart = sink_bits > source_bits, apart
        super().__init__({"i": In(stream.Signature(source_bits)), "o": Out(stream.Signature(sink_bits))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        if self._ratio == 1:
            wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        elif self._widen:
            self._gather(m)
        else:
            self._cut(m)
        return m

    def _gather(self, m: Module) -> None:
        part, full = len(self.i.payload), Signal()
        word, count = Signal(len(self.o.payload), reset_less=True), Signal(range(self._ratio))
        m.d.comb += [
            self.i.ready.eq(~full if self._apart else ~full | self.o.ready),
            self.o.valid.eq(full),
            self.o.payload.eq(word),
        ]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            # Each part to its place: bits that nobody reads need no register, as they would in a shift.
            m.d.sync += [
                word.word_select(count, part).eq(self.i.payload),
                count.eq(count + 1),
                full.eq(count == self._ratio - 1),
            ]

    def _cut(self, m: Module) -> None:
        part, busy = len(self.o.payload), Signal()
        word, count = Signal(len(self.i.payload), reset_less=True), Signal(range(self._ratio))
        last = count == self._ratio - 1
        m.d.comb += [
            self.i.ready.eq(~busy | (self.o.ready & last)),
            self.o.valid.eq(busy),
            self.o.payload.eq(word[:part]),
        ]
        with m.If(busy & self.o.ready):
            # What comes in behind the last part is never read; a rotation needs no reset for it.
            m.d.sync += [word.eq(word.rotate_right(part)), count.eq(count + 1), busy.eq(~last)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), count.eq(0), busy.eq(1)]
