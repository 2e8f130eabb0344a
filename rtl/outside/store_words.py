# SPDX-License-Identifier: Apache-2.0
"""Keys and values on their way to external memory: words to beats, each head up to a multiple of 64 bytes."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.rtl.format.jobs import output_word
from hlsgen.rtl.format.widths import group_lanes
from hlsgen.rtl.parts.resize import Resize

_FLAGS = 2


class StoreWords(wiring.Component):
    """Takes a group's rows at a time; after a head's last word zeros follow up to 64 bytes.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    i : In(stream of output_word)
    o : Out(stream)
        Beats: data, `store` 1, and of a tensor's first word `values`, `first`.
    busy : Out(1)
        Something is on its way.

    Latency
    -------
    That of `Resize`.

    Throughput
    ----------
    A narrow word, or a beat, a cycle.
    """

    i: stream.Interface
    o: stream.Interface
    busy: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        beat = data.StructLayout({"data": 8 * p.bus_bytes, "store": 1, "values": 1, "first": 1})
        super().__init__(
            {
                "i": In(stream.Signature(output_word(p))),
                "o": Out(stream.Signature(beat)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        word_bits, beat_bits = 8 * group_lanes(p), 8 * p.bus_bytes
        part = min(word_bits, beat_bits)
        parts, joined = word_bits // part, beat_bits // part
        m.submodules.resize = resize = Resize(parts * (part + _FLAGS), joined * (part + _FLAGS))
        filling, taken = Signal(), Signal()
        flags = Cat(self.i.payload.values, self.i.payload.first)
        pieces = []
        for index in range(parts):
            piece = Mux(filling, 0, self.i.payload.data[part * index : part * index + part])
            shown = Mux(filling, 0, flags) if index == 0 else Signal(_FLAGS, name=f"none_{index}")
            pieces.append(Cat(piece, shown))
        m.d.comb += [
            resize.i.payload.eq(Cat(pieces)),
            resize.i.valid.eq(self.i.valid | filling),
            self.i.ready.eq(resize.i.ready & ~filling),
            taken.eq(resize.i.valid & resize.i.ready),
        ]
        self._fill(m, filling, taken, word_bits)
        out = [resize.o.payload.word_select(index, part + _FLAGS) for index in range(joined)]
        m.d.comb += [
            self.o.payload.data.eq(Cat(piece[:part] for piece in out)),
            self.o.payload.store.eq(1),
            self.o.payload.values.eq(out[0][part]),
            self.o.payload.first.eq(out[0][part + 1]),
            self.o.valid.eq(resize.o.valid),
            resize.o.ready.eq(self.o.ready),
            self.busy.eq(filling | resize.o.valid),
        ]
        return m

    def _fill(self, m: Module, filling: Signal, taken: Signal, word_bits: int) -> None:
        """Zeros after a head's last word until its unit is full."""
        per_unit = 8 * SECTION_ALIGN // word_bits
        if per_unit <= 1:
            return
        place = Signal(range(per_unit))
        ends = place == per_unit - 1
        with m.If(taken):
            m.d.sync += [place.eq(place + 1), filling.eq((filling | self.i.payload.head_end) & ~ends)]
