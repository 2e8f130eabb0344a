# SPDX-License-Identifier: Apache-2.0
"""LOAD mode patches: the image memory and the gathering of patches (im2col)."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import MEMORY, PATCHES
from hlsgen.rtl.format.jobs import load_job, load_tag
from hlsgen.rtl.load.patch_walk import PatchWalk
from hlsgen.rtl.load.ports import Words, WordsPorts
from hlsgen.rtl.parts.memories import WordMemory
from hlsgen.rtl.parts.pipeline import count_bits, delay, register, without_reset


# A word of two segments, as `PatchWalk` asks for them:
#
#   cycle          0          1          2          3          4          5
#   walk.segment   segment 0  segment 1
#   image's data                         segment 0  segment 1
#   turned                                          segment 0  segment 1         rotated to its lanes
#   o.word                                                     segment 0  both   `o.valid` with both
class PatchesLoad(wiring.Component):
    """Fills the image memory from the input stream and gathers operand rows from it.

    A patch waits until the image rows of its whole band have been delivered.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Tags carry the trace.

    Members
    -------
    pixels : In(stream of words)
        Words beyond the image memory are dropped.
    offered : In(1)
        With `job` and `slot_word`, which then stay until `start`: the next tile.
    start : In(1)
        Gather the offered tile; only while not busy.
    busy : Out(1)
        Segments are still to be read.
    o : Out(Words)
        Operand words.

    Latency
    -------
    `latency` cycles after a word's last segment was asked for.

    Throughput
    ----------
    gcd(patch width, C) pixels a cycle.
    """

    latency = PATCHES
    pixels: stream.Interface
    offered: Signal
    start: Signal
    job: Any
    slot_word: Signal
    busy: Signal
    o: WordsPorts

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        self._parameters, self._trace = parameters, trace
        tag = load_tag(parameters, trace)
        super().__init__(
            {
                "pixels": In(stream.Signature(8 * parameters.columns)),
                "offered": In(1),
                "start": In(1),
                "job": In(load_job(parameters, trace)),
                "slot_word": In(tag.members["word"]),
                "busy": Out(1),
                "o": Out(Words(parameters, data.ArrayLayout(8, parameters.columns), trace)),
            }
        )
        without_reset(self.o, "word", "tag")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.image = image = WordMemory(8 * p.columns, p.image_words)
        m.submodules.walk = walk = PatchWalk(p, trace=self._trace)
        m.d.comb += [
            walk.offered.eq(self.offered),
            walk.start.eq(self.start),
            walk.job.eq(self.job),
            walk.slot_word.eq(self.slot_word),
            walk.written.eq(self._fill(m, image)),
            self.busy.eq(walk.busy),
            image.read_address[0].eq(walk.segment.address),
        ]
        segment = delay(m, walk.segment, MEMORY, name="found")
        valid = delay(m, walk.valid, MEMORY, name="found_valid")
        self._gather(m, image.read_data[0], valid, segment)
        return m

    def _fill(self, m: Module, image: WordMemory) -> Signal:
        """The image's words arrive in order."""
        depth = self._parameters.image_words
        written, full = Signal(count_bits(depth)), Signal()
        taken = self.pixels.valid & ~full
        m.d.comb += [
            self.pixels.ready.eq(1),
            image.write.eq(taken),
            image.write_address.eq(written),
            image.write_data.eq(self.pixels.payload),
        ]
        m.d.sync += written.eq(written + taken)
        with m.If(taken):
            m.d.sync += full.eq(written == depth - 1)
        return written

    def _gather(self, m: Module, found: Value, valid: Value, segment: Any) -> None:
        """Rotate a segment to its place, then keep its lanes."""
        columns = self._parameters.columns
        turned = found
        for level in range(columns.bit_length() - 1):
            turned = Mux(segment.turn[level], turned.rotate_left(8 << level), turned)
        turned = register(m, turned, name="turned")
        segment = register(m, segment, name="segment")
        valid = register(m, valid, name="turned_valid")
        m.d.sync += [self.o.valid.eq(valid & segment.complete), self.o.tag.eq(segment.tag)]
        with m.If(valid):
            for lane in range(columns):
                kept = Mux(segment.begins, 0, self.o.word[lane])
                found = turned[8 * lane : 8 * lane + 8]
                m.d.sync += self.o.word[lane].eq(Mux(segment.keep[lane], found, kept))
