# SPDX-License-Identifier: Apache-2.0
"""Addresses of the patches mode: which pixels make which operand word."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.jobs import load_job, load_tag
from hlsgen.rtl.format.widths import slot_words, width_bits
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, without_reset


def segment_layout(p: MachineParameters, trace: bool) -> data.StructLayout:
    """A segment of g pixels: where it lies, where it goes."""
    return data.StructLayout(
        {
            "address": address_bits(p.image_words),
            "turn": max(1, p.columns.bit_length() - 1),
            "keep": p.columns,
            "begins": 1,
            "complete": 1,
            "tag": load_tag(p, trace),
        }
    )


class _Place:
    """Where the walk is: in the image, in the tile, in the word; and which counts are at their last.

    `patch`, `channel`, `y` and `index` count down from all that there are to 1, as `rest`, the pixels of the
    segment's line that are left: what is the last comes out of a comparison without a sum.
    """

    def __init__(self, p: MachineParameters, bits: int) -> None:
        self.slot_word = Signal(address_bits(p.tile_slots * slot_words(p)))
        self.lane, self.word = Signal(address_bits(p.rows)), Signal.like(self.slot_word)
        self.index, self.place = Signal(count_bits(p.tile_words)), Signal(count_bits(p.columns))
        self.rest = Signal(field(p, "patch_width"))
        columns, width = field(p, "patch_columns"), field(p, "patch_width")
        self.patch, self.left, self.band = Signal(columns), Signal(columns + width), Signal(bits)
        self.x, self.y = Signal(width), Signal(field(p, "patch_height"))
        self.channel = Signal(field(p, "patch_channels"))
        self.line, self.plane, self.band_end = Signal(bits), Signal(bits), Signal(bits)
        self.x_last, self.y_last, self.channel_last = Signal(), Signal(), Signal()
        self.patch_last, self.lane_last, self.index_last = Signal(), Signal(), Signal()

    def begin_sweep(self, job: Any) -> list[Any]:
        """Statements: the next patch is the image's first."""
        begin = [self.left.eq(0), self.band.eq(0), self.patch.eq(job.patch_columns)]
        return [*begin, self.patch_last.eq(job.patch_columns == 1)]

    def begin_tile(self, job: Any, slot_word: Value) -> list[Any]:
        """Statements: the next word is the tile's first."""
        first = [self.slot_word.eq(slot_word), self.word.eq(slot_word), self.lane.eq(0)]
        return [*first, self.lane_last.eq(job.rows == 1)]

    def begin_row(self, job: Any, size: Value) -> list[Any]:
        """Statements: the next segment, of `size` pixels, is the patch's first."""
        return [
            self.x.eq(0),
            self.place.eq(0),
            self.rest.eq(job.patch_width),
            self.y.eq(job.patch_height),
            self.channel.eq(job.patch_channels),
            self.index.eq(job.words),
            self.line.eq(self.band),
            self.plane.eq(self.band),
            self.x_last.eq(job.patch_width == size),
            self.y_last.eq(job.patch_height == 1),
            self.channel_last.eq(job.patch_channels == 1),
            self.index_last.eq(job.words == 1),
        ]


# A tile of two patches of two segments, whose pixels are there:
#
#   cycle            0     1    2       3       4    5       6       7
#   offered, start   tile
#   state            idle  row  gather  gather  row  gather  gather  idle
#   segment                             a 0     a 1          b 0     b 1    with `valid`
#
# A command's first tile passes the state "measure" before its first row.
class PatchWalk(wiring.Component):
    """Walks over the patches of a tile: channel, row, segment; the first rows of a pass may be blank.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Tags carry the trace.

    Members
    -------
    offered : In(1)
        With `job` and `slot_word`, which then stay until `start`: the next tile, of which registers take note
        while the walk is idle. Nothing waits for `start` but the state.
    start : In(1)
        Gather the offered tile; only while not busy.
    written : In
        Image words delivered.
    busy : Out(1)
    valid : Out(1)
    segment : Out
        A segment; a blank word keeps nothing.

    Latency
    -------
    A command's first tile takes `patch_channels` + `patch_height` cycles more, each row 2.

    Throughput
    ----------
    One segment a cycle within a row.
    """

    offered: Signal
    start: Signal
    job: Any
    slot_word: Signal
    written: Signal
    busy: Signal
    valid: Signal
    segment: Any

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        self._parameters, self._trace = parameters, trace
        self._bits = count_bits(parameters.image_words)
        super().__init__(
            {
                "offered": In(1),
                "start": In(1),
                "job": In(load_job(parameters, trace)),
                "slot_word": In(load_tag(parameters, trace).members["word"]),
                "written": In(self._bits),
                "busy": Out(1),
                "valid": Out(1),
                "segment": Out(segment_layout(parameters, trace)),
            }
        )
        without_reset(self, "segment")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        job = Signal(load_job(self._parameters, self._trace), reset_less=True)
        at, blanks = _Place(self._parameters, self._bits), Signal.like(job.patch_prefix)
        row_step, band_step, blank = Signal(self._bits), Signal(self._bits), Signal()
        row_ends, tile_ends, size = Signal(), Signal(), Signal(count_bits(self._parameters.columns))
        m.d.comb += tile_ends.eq(row_ends & at.lane_last)
        m.d.sync += self.valid.eq(0)
        with m.FSM():
            with m.State("idle"):
                with m.If(self.offered):
                    m.d.sync += job.eq(self.job)
                    self._begin(m, at, size, band_step, blanks, blank)
                with m.If(self.start):
                    m.d.sync += self.busy.eq(1)
                    m.next = "row"
                    with m.If(self.job.fresh):
                        m.next = "measure"
            with m.State("measure"), m.If(self._measure(m, job, row_step, band_step)):
                m.d.sync += at.band_end.eq(band_step)
                m.next = "row"
            with m.State("row"):
                m.d.sync += at.begin_row(job, size)
                with m.If(blank):
                    m.d.sync += [blanks.eq(blanks - 1), blank.eq(blanks != 1)]
                    m.next = "blank"
                with m.Elif(self.written >= at.band_end):
                    m.next = "gather"
            with m.State("blank"):
                m.d.comb += row_ends.eq(at.index_last)
                self._emit(m, at, job, row_ends, tile_ends, complete=C(1, 1), keep=C(0, 1))
                self._leave(m, row_ends, tile_ends)
            with m.State("gather"):
                m.d.comb += row_ends.eq(self._advance(m, at, job, size, row_step, band_step))
                complete = row_ends | (at.place + size == self._parameters.columns)
                keep = self._keep(at.place, size)
                self._emit(m, at, job, row_ends, tile_ends, complete=complete, keep=keep)
                self._leave(m, row_ends, tile_ends)
        return m

    def _begin(
        self, m: Module, at: _Place, size: Signal, step: Signal, blanks: Signal, blank: Signal
    ) -> None:
        """The offered tile's first word; in a sweep's first tile the image's first patch, or blank rows."""
        m.d.sync += [*at.begin_tile(self.job, self.slot_word), size.eq(self._segment(self.job.patch_width))]
        with m.If(self.job.first):
            m.d.sync += [*at.begin_sweep(self.job), blanks.eq(self.job.patch_prefix)]
            m.d.sync += [at.band_end.eq(step), blank.eq(self.job.patch_prefix != 0)]

    def _leave(self, m: Module, row_ends: Value, tile_ends: Value) -> None:
        with m.If(row_ends):
            m.next = "row"
        with m.If(tile_ends):
            m.d.sync += self.busy.eq(0)
            m.next = "idle"

    @staticmethod
    def _measure(m: Module, job: Any, row_step: Signal, band_step: Signal) -> Value:
        """Words of an image row (a row of every channel), then of a band of patches; returns the end."""
        channel, row = Signal.like(job.patch_channels), Signal.like(job.patch_height)
        whole_row, whole_band = channel == job.patch_channels, row == job.patch_height
        with m.If(~whole_row):
            m.d.sync += [
                row_step.eq(Mux(channel == 0, 0, row_step) + job.row_words),
                channel.eq(channel + 1),
            ]
        with m.Elif(~whole_band):
            m.d.sync += [band_step.eq(Mux(row == 0, 0, band_step) + row_step), row.eq(row + 1)]
        with m.Else():
            m.d.sync += [channel.eq(0), row.eq(0)]
        return whole_row & whole_band

    @staticmethod
    def _advance(m: Module, at: _Place, job: Any, size: Value, row_step: Value, band_step: Value) -> Value:
        """To the next segment; returns whether this was the patch's last."""
        width = job.patch_width
        line_ends = at.x_last
        plane_ends = line_ends & at.y_last
        ends = plane_ends & at.channel_last
        plane = at.plane + job.row_words
        m.d.sync += [at.place.eq(at.place + size), at.x.eq(at.x + size), at.rest.eq(at.rest - size)]
        m.d.sync += at.x_last.eq(at.rest == size << 1)
        with m.If(line_ends):
            m.d.sync += [at.x.eq(0), at.rest.eq(width), at.x_last.eq(size == width)]
            m.d.sync += [at.line.eq(at.line + row_step), at.y.eq(at.y - 1), at.y_last.eq(at.y == 2)]
        with m.If(plane_ends):
            m.d.sync += [at.y.eq(job.patch_height), at.y_last.eq(job.patch_height == 1), at.plane.eq(plane)]
            m.d.sync += [at.channel.eq(at.channel - 1), at.line.eq(plane)]
            m.d.sync += at.channel_last.eq(at.channel == 2)
        with m.If(ends):
            m.d.sync += [at.patch.eq(at.patch - 1), at.left.eq(at.left + width)]
            m.d.sync += at.patch_last.eq(at.patch == 2)
            with m.If(at.patch_last):
                m.d.sync += [at.patch.eq(job.patch_columns), at.left.eq(0), at.band.eq(at.band_end)]
                m.d.sync += at.band_end.eq(at.band_end + band_step)
                m.d.sync += at.patch_last.eq(job.patch_columns == 1)
        return ends

    def _segment(self, width: Value) -> Value:
        """gcd(width, C): the width's lowest set bit, at most C."""
        columns = self._parameters.columns
        size: Value = C(columns, count_bits(columns))
        for bit in reversed(range(min(columns.bit_length() - 1, len(width)))):
            size = Mux(width[bit], C(1 << bit, count_bits(columns)), size)
        return size

    def _keep(self, place: Value, size: Value) -> Value:
        """The lanes of a segment: equal to `place` but for the bits below the segment's size."""
        columns = self._parameters.columns
        bits = range(columns.bit_length() - 1)
        if not bits:
            return C(1, 1)
        return Cat(
            Cat((place[bit] == (lane >> bit & 1)) | (size > (1 << bit)) for bit in bits).all()
            for lane in range(columns)
        )

    def _emit(
        self, m: Module, at: _Place, job: Any, last: Value, tile_ends: Value, *, complete: Value, keep: Value
    ) -> None:
        """Register a segment; after a complete word go on to the next one."""
        bits = self._parameters.columns.bit_length() - 1
        column, segment, width = at.left + at.x, self.segment, width_bits(self._parameters)
        m.d.sync += [
            self.valid.eq(1),
            segment.address.eq(at.line + column[bits:]),
            segment.turn.eq(at.place[:bits] - column[:bits]),
            segment.keep.eq(keep),
            segment.begins.eq(at.place == 0),
            segment.complete.eq(complete),
            segment.tag.lane.eq(at.lane[width:]),
            segment.tag.rows.eq(1 << at.lane[:width] if width else 1),
            segment.tag.word.eq(at.word),
            segment.tag.row_last.eq(last),
            segment.tag.tile_last.eq(tile_ends),
        ]
        with m.If(complete):
            m.d.sync += [at.word.eq(at.word + 1), at.place.eq(0), at.index.eq(at.index - 1)]
            m.d.sync += at.index_last.eq(at.index == 2)
        with m.If(last):
            m.d.sync += [at.word.eq(at.slot_word), at.lane.eq(at.lane + 1)]
            m.d.sync += at.lane_last.eq(at.lane + 2 == job.rows)
        if self._trace:
            tag = segment.tag
            m.d.sync += [
                tag.trace.command.eq(job.command),
                tag.trace.kind.eq(Kind.PLAIN),
                tag.trace.head.eq(0),
                tag.trace.row.eq(job.token + (at.lane[width:] << width)),
                tag.trace.word.eq(job.words - at.index),
            ]
