# SPDX-License-Identifier: Apache-2.0
"""Reads keys and values of streamed attention back from external memory, a head at a time."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters
from hlsgen.machine.time.depths import SETTLED
from hlsgen.rtl.format.jobs import fill_job
from hlsgen.rtl.format.ports import (
    Heads,
    HeadsPorts,
    OperandWrite,
    OperandWritePorts,
    Sections,
    SectionsPorts,
)
from hlsgen.rtl.format.streams import LENGTH_UNITS
from hlsgen.rtl.format.widths import group_lanes, groups_of, rows_of_group, tile_groups
from hlsgen.rtl.parts.pipeline import count_bits

# A job whose operands have drained, in front of empty places; n: words of a section:
#
#   cycle                0      1 .. 8   9         10     11     12 ..      14      15
#   state                idle   written  written   fill
#   drained and stored          1 .. 1                           `quiet` is full after SETTLED of them
#   begin                                1
#   sections.open                                         keys                      values
#   words.ready                                           1
#
#   cycle                t      ..  t+n-1    t+n     t+n+1
#   words                key 0      key n-1  (place) value 0
#   write                           key n-2  key n-1
#   keys.filled                              1
#
# The next section is asked for three cycles after the last one at the earliest: until then `spent` speaks of
# the one before.


class OperandFill(wiring.Component):
    """Fills the two places of the key and of the value memory in turns: keys, then values, of each reading.

    A reading is a head's keys and values for `span` tiles of queries. The next ones are asked for while
    MULTIPLY uses those before, and written as soon as their place is free.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    jobs : In(stream)
        Attention commands.
    drained_commands : In(16)
    stored : In(1)
        Everything that DRAIN has sent to external memory is there.
    sections : Out(Sections)
        Offsets count from the workspace's begin.
    words : In(stream of row_width * C bytes)
    write : Out(OperandWrite)
    keys, values : Out(Heads)

    Latency
    -------
    One cycle from a word to its write.

    Throughput
    ----------
    A word a cycle; one cycle between sections.
    """

    jobs: stream.Interface
    drained_commands: Signal
    stored: Signal
    sections: SectionsPorts
    words: stream.Interface
    write: OperandWritePorts
    keys: HeadsPorts
    values: HeadsPorts

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "jobs": In(stream.Signature(fill_job(p))),
                "drained_commands": In(16),
                "stored": In(1),
                "sections": Out(Sections()),
                "words": In(stream.Signature(8 * group_lanes(p))),
                "write": Out(OperandWrite(p)),
                "keys": Out(Heads()),
                "values": Out(Heads()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        job, begin, filled = Signal(fill_job(self._parameters), reset_less=True), Signal(), Signal()
        quiet = Signal(SETTLED)
        with m.FSM(name="fill"):
            with m.State("idle"):
                m.d.comb += self.jobs.ready.eq(1)
                m.d.sync += job.eq(self.jobs.payload)
                with m.If(self.jobs.valid):
                    m.d.sync += quiet.eq(0)
                    m.next = "written"
            with m.State("written"):
                drained = self.drained_commands > job.operand_depends_on
                m.d.sync += quiet.eq((quiet << 1) | (drained & self.stored))
                with m.If(quiet.all()):
                    m.d.comb += begin.eq(1)
                    m.next = "fill"
            with m.State("fill"), m.If(filled):
                m.next = "idle"
        self._open(m, job, begin)
        m.d.comb += filled.eq(self._fill(m, job, begin))
        return m

    def _walk(
        self, m: Module, name: str, job: Any, begin: Value, step: Value
    ) -> tuple[Signal, Signal, Signal, Value]:
        """Keys, values of one reading after another: which one, head, place, whether it is the last."""
        values, head = Signal(name=f"{name}_values"), Signal(8, name=f"{name}_head")
        turn, place = Signal(16, name=f"{name}_turn"), Signal(name=f"{name}_place")
        last_turn = turn + 1 == job.readings
        with m.If(begin):
            m.d.sync += [values.eq(0), head.eq(0), turn.eq(0), place.eq(0)]
        with m.Elif(step):
            m.d.sync += values.eq(~values)
            with m.If(values):
                m.d.sync += [place.eq(~place), turn.eq(Mux(last_turn, 0, turn + 1))]
                with m.If(last_turn):
                    m.d.sync += head.eq(head + 1)
        return values, head, place, values & last_turn & (head + 1 == job.heads)

    def _open(self, m: Module, job: Any, begin: Value) -> None:
        """Ask for a section as soon as the one before has been asked for."""
        active, wait, step = Signal(), Signal(2), Signal()
        values, head, _, last = self._walk(m, "open", job, begin, step)
        base, known = Signal(LENGTH_UNITS), Signal(8)
        sections = self.sections
        m.d.comb += step.eq(active & sections.spent & (wait == 0) & ~sections.open)
        m.d.sync += sections.open.eq(step)
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(begin):
            m.d.sync += [active.eq(1), base.eq(0), known.eq(0)]
        with m.Elif(step):
            m.d.sync += [
                sections.offset.eq(base + Mux(values, self._parameters.workspace_units, 0)),
                sections.units.eq(job.head_units),
                active.eq(~last),
                wait.eq(3),  # until `spent` speaks of this section
            ]
        with m.Elif(known != head):
            m.d.sync += [base.eq(base + job.head_units), known.eq(head)]

    def _fill(self, m: Module, job: Any, begin: Value) -> Value:
        """Write what comes; returns whether the job's last word has been taken."""
        active, room, moves, ends = Signal(), Signal(), Signal(), Signal()
        free = [Signal(2, init=2, name=f"{name}_free") for name in ("keys", "values")]
        values, _, place, last = self._walk(m, "fill", job, begin, ends)
        left, fresh = Signal(LENGTH_UNITS + 9), Signal()
        with m.If(begin):
            m.d.sync += [active.eq(1), fresh.eq(1)]
        with m.If(active & fresh & (Mux(values, free[1], free[0]) != 0)):
            m.d.comb += room.eq(1)
            m.d.sync += [fresh.eq(0), left.eq(self._words(job.head_units))]
        m.d.comb += [
            self.words.ready.eq(active & ~fresh),
            moves.eq(self.words.valid & self.words.ready),
            ends.eq(moves & (left == 1)),
        ]
        with m.If(moves):
            m.d.sync += [left.eq(left - 1), fresh.eq(ends)]
        with m.If(ends & last):
            m.d.sync += active.eq(0)
        m.d.sync += [
            free[0].eq(free[0] + self.keys.freed - (room & ~values)),
            free[1].eq(free[1] + self.values.freed - (room & values)),
            self.keys.filled.eq(ends & ~values),
            self.values.filled.eq(ends & values),
        ]
        self._write(m, job, values, place, room, moves)
        return ends & last

    def _words(self, units: Value) -> Value:
        """Words in units of 64 bytes."""
        word = group_lanes(self._parameters)
        if word <= SECTION_ALIGN:
            return units << (SECTION_ALIGN // word).bit_length() - 1
        return units >> (word // SECTION_ALIGN).bit_length() - 1

    def _write(self, m: Module, job: Any, values: Value, place: Value, start: Value, moves: Value) -> None:
        """Lane and address of each word in DRAIN's order (tile, word, group); zeros are dropped."""
        p, write, whole = self._parameters, self.write, tile_groups(self._parameters)
        lane, offset, word = Signal.like(write.lane), Signal.like(write.address), Signal(16)
        tile_lane, tile_offset, real = Signal.like(lane), Signal.like(offset), Signal()
        groups, row = Signal(16), Signal(count_bits(whole))
        lane_last = Mux(values, p.depth // p.row_width - 1, p.columns // p.row_width - 1)
        wraps = lane == lane_last
        next_lane, next_offset = Mux(wraps, 0, lane + 1), offset + Mux(wraps, job.head_words, 0)
        last_tile, row_last, word_last = groups <= whole, Signal(), word + 1 == job.head_words
        size = Mux(last_tile, groups, whole)
        m.d.comb += row_last.eq(row + 1 == size)
        with m.If(start):
            begin = Mux(place, Mux(values, job.value_stride, job.head_stride), 0)
            m.d.sync += [lane.eq(0), offset.eq(begin), word.eq(0), row.eq(0), real.eq(1)]
            m.d.sync += [tile_lane.eq(0), tile_offset.eq(begin), groups.eq(groups_of(p, job.keys))]
        with m.Elif(moves):
            m.d.sync += [lane.eq(next_lane), offset.eq(next_offset), row.eq(row + 1)]
            with m.If(row_last):
                m.d.sync += [lane.eq(tile_lane), offset.eq(tile_offset), word.eq(word + 1), row.eq(0)]
                with m.If(word_last):
                    m.d.sync += [tile_lane.eq(next_lane), tile_offset.eq(next_offset)]
                    m.d.sync += [lane.eq(next_lane), offset.eq(next_offset), word.eq(0)]
                    m.d.sync += [groups.eq(groups - whole), real.eq(real & ~last_tile)]
        m.d.sync += [
            write.keys.eq(moves & real & ~values),
            write.values.eq(moves & real & values),
            write.rows.eq(rows_of_group(p, job.keys, last_tile & row_last)),
            write.lane.eq(lane),
            write.address.eq(offset + word),
            write.data.eq(self.words.payload),
        ]
