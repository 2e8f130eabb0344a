# SPDX-License-Identifier: Apache-2.0
"""Takes the padding out of a stream of sections."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.rtl.format.streams import segment
from hlsgen.rtl.parts.queues import Queue

SEGMENTS = 8
"""Sections that may be under way."""


class Segments(wiring.Component):
    """Passes each section's words on and drops what pads it to 64 bytes.

    Parameters
    ----------
    word_bytes
        Bytes per word, a power of two.

    Members
    -------
    segments : In(stream of segment)
    i : In(stream of words), o : Out(stream of words)

    Latency
    -------
    0 cycles.

    Throughput
    ----------
    One word a cycle; two cycles between sections.
    """

    segments: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, word_bytes: int) -> None:
        self._word_bytes = word_bytes
        words = stream.Signature(8 * word_bytes)
        super().__init__({"segments": In(stream.Signature(segment())), "i": In(words), "o": Out(words)})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.waiting = waiting = Queue(segment(), SEGMENTS)
        wiring.connect(m, wiring.flipped(self.segments), waiting.i)
        new, bits = waiting.o.payload, 32
        words, padding = Signal(bits), Signal(bits)
        passes, drops, moves = Signal(), Signal(), Signal()
        m.d.comb += [
            passes.eq(words != 0),
            drops.eq(~passes & (padding != 0)),
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & passes),
            self.i.ready.eq(Mux(passes, self.o.ready, drops)),
            moves.eq(self.i.valid & self.i.ready),
            waiting.o.ready.eq(~passes & ~drops),
        ]
        with m.If(moves):
            m.d.sync += [words.eq(words - passes), padding.eq(padding - ~passes)]
        with m.If(waiting.o.valid & waiting.o.ready):
            m.d.sync += [words.eq(new.words), padding.eq(self._total(new.units) - new.words)]
        return m

    def _total(self, units: Value) -> Value:
        """Words in units of 64 bytes."""
        if self._word_bytes <= SECTION_ALIGN:
            return units << (SECTION_ALIGN // self._word_bytes).bit_length() - 1
        return units >> (self._word_bytes // SECTION_ALIGN).bit_length() - 1
