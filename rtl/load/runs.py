# SPDX-License-Identifier: Apache-2.0
"""Rows in any order: the memory of run lists, and where each row of a list lies."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.runs import PLACE_BITS, RUN_BYTES, WORD_BYTES
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import MEMORY
from hlsgen.rtl.format.widths import list_bits, list_entries, memory_bits, width_bits
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, WordMemory
from hlsgen.rtl.parts.pipeline import count_bits, delay, moved, without_reset
from hlsgen.rtl.parts.queues import Queue

AHEAD = 4
"""Words of a list that are on their way, or wait: at two runs each they cover the way."""


def row_place(p: MachineParameters) -> data.StructLayout:
    """Where a row, or a piece of one, begins: address and bank; `zero`: nowhere, it is zeros."""
    return data.StructLayout({"address": memory_bits(p), "bank": width_bits(p), "zero": 1})


def list_port(p: MachineParameters) -> dict[str, wiring.Member]:
    """The port by which run lists come; none in a machine without them."""
    return {"lists": In(TableWrite(list_entries(p)))} if p.list_words else {}


# A list of two runs, of two rows and of one, in front of another one:
#
#   cycle        0      1    2    3    4    5    6      7      8
#   start        1
#   asks                w 0  w 1  w 2  w 3
#   queue.i                       w 0  w 1  w 2  w 3
#   queue.o                                 w 0  w 0    w 0    w 1
#   o                                            row 0  row 1  row 2
class RunReader(wiring.Component):
    """Reads a run list from its memory and gives the place of one row after another, beyond the list's end.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    write : In(TableWrite)
        Two runs of the memory.
    start : In(1)
        A list begins, with `first`, `source` and `stride`; what is left of the one before is dropped.
    first : In
        The list's first word.
    source, stride : In
        The address that places count from; words of a bank from a group of rows to the next one.
    o : Out(stream of row_place)

    Latency
    -------
    6 cycles from `start` to the first place.

    Throughput
    ----------
    A place a cycle.
    """

    write: TableWritePorts
    start: Signal
    first: Signal
    source: Signal
    stride: Signal
    o: stream.Interface

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = parameters
        super().__init__(
            {
                "write": In(TableWrite(list_entries(parameters))),
                "start": In(1),
                "first": In(list_bits(parameters)),
                "source": In(memory_bits(parameters)),
                "stride": In(memory_bits(parameters)),
                "o": Out(stream.Signature(row_place(parameters))),
            }
        )
        without_reset(self.o, "payload")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.memory = memory = WordMemory(8 * WORD_BYTES, p.list_words)
        m.submodules.queue = queue = ResetInserter(self.start)(Queue(8 * WORD_BYTES, AHEAD))
        word, active = Signal(list_bits(p)), Signal()
        room, asks = Signal(range(AHEAD + 1), init=AHEAD), Signal()
        coming = [Signal(name=f"coming_{index + 1}") for index in range(MEMORY)]
        m.d.comb += [
            asks.eq(active & (room != 0)),
            memory.read_address[0].eq(word),
            memory.write.eq(self.write.valid),
            memory.write_address.eq(self.write.address),
            memory.write_data.eq(self.write.data),
            queue.i.valid.eq(coming[-1]),
            queue.i.payload.eq(memory.read_data[0]),
        ]
        m.d.sync += [word.eq(word + asks), room.eq(moved(room, queue.o.valid & queue.o.ready, asks))]
        for stage, before in zip(coming, [asks, *coming[:-1]], strict=True):
            m.d.sync += stage.eq(before & ~self.start)
        with m.If(self.start):
            m.d.sync += [word.eq(self.first), active.eq(1), room.eq(AHEAD)]
        self._expand(m, queue.o)
        return m

    def _expand(self, m: Module, words: stream.Interface) -> None:
        """The rows of each run, which lie group by group, bank by bank."""
        p, o = self._parameters, self.o
        bits, place = width_bits(p), self.o.payload
        source, stride = Signal.like(self.source, reset_less=True), Signal.like(self.stride, reset_less=True)
        second, goes_on, left = Signal(), Signal(), Signal(8 * RUN_BYTES - PLACE_BITS - 1)
        run = words.payload.word_select(second, 8 * RUN_BYTES)
        more = run[PLACE_BITS : 8 * RUN_BYTES - 1]
        free, begins, wraps = ~o.valid | o.ready, Signal(), Signal()
        m.d.comb += [
            begins.eq(free & ~goes_on & words.valid),
            words.ready.eq(begins & second),
            wraps.eq(place.bank == p.row_width - 1 if bits else 1),
        ]
        with m.If(free):
            m.d.sync += o.valid.eq(goes_on | words.valid)
        with m.If(begins):
            m.d.sync += [second.eq(~second), left.eq(more), goes_on.eq(more != 0)]
            m.d.sync += [
                place.address.eq(source + run[bits:PLACE_BITS]),
                place.bank.eq(run[:bits]),
                place.zero.eq(run[-1]),
            ]
        with m.Elif(free & goes_on):
            m.d.sync += [left.eq(left - 1), goes_on.eq(left != 1)]
            m.d.sync += [place.address.eq(Mux(wraps, place.address + stride, place.address))]
            m.d.sync += place.bank.eq(place.bank + 1)
        with m.If(self.start):
            m.d.sync += [source.eq(self.source), stride.eq(self.stride)]
            m.d.sync += [o.valid.eq(0), goes_on.eq(0), second.eq(0)]


class ListWalk:
    """Registers: where LOAD is in a row of a run list; the reader of lists is the walk's part.

    listed, coming: the job, the one that is loaded, has a list. begins: the next word is a piece's first.
    held: the piece's place, in the cycle in which its words are asked for. row: a bit for the row of a group.
    """

    def __init__(
        self, m: Module, p: MachineParameters, job: Any, start: Signal, lists: TableWritePorts
    ) -> None:
        m.submodules.runs = runs = RunReader(p)
        wiring.connect(m, wiring.flipped(lists), runs.write)
        self._job, self._bits, self._runs = job, width_bits(p), runs
        self.listed, self._first = Signal(name="listed"), Signal(name="piece_first")
        self._left = Signal(count_bits(p.tile_words), name="piece_left")
        self._row = Signal(self._bits, name="row_of_group")
        self._kept = Signal(row_place(p), name="piece_place", reset_less=True)
        self.place = runs.o.payload
        self.coming = (job.list_base != 0) & (job.kind != Kind.CONTEXT)
        self.begins = self.listed & self._first
        self.starved = self.begins & ~runs.o.valid
        self.held = Mux(self._first, self.place, self._kept)
        self.group_last = ~self.listed | (self._row == p.row_width - 1 if self._bits else 1)
        self.row = Cat(self._row == index if self._bits else 1 for index in range(p.row_width))
        m.d.comb += [
            runs.start.eq(start & job.first & self.coming),
            runs.first.eq(job.list_base - 1),
            runs.source.eq(job.source),
            runs.stride.eq(job.source_stride),
        ]

    def walk(self, m: Module, job: Any, issue: Value, row_ends: Value, loads: Value) -> None:
        """To the next word, or to the job that is loaded."""
        m.d.comb += self._runs.o.ready.eq(issue & self.begins)
        with m.If(issue):
            m.d.sync += [self._left.eq(self._left - 1), self._first.eq(self._left == 1)]
            m.d.sync += [self._kept.eq(self.held), self._row.eq(self._row + row_ends)]
            with m.If(self._left == 1):
                m.d.sync += self._left.eq(job.piece_words)
        with m.If(loads):
            m.d.sync += [self.listed.eq(self.coming), self._first.eq(1), self._row.eq(0)]
            m.d.sync += self._left.eq(self._job.piece_words)


def chosen(m: Module, p: MachineParameters, request: Any, found: Any, name: str) -> Any:
    """What a memory has found; for a list's row in all rows of the group the word of its bank, or zeros."""
    if not p.list_words:
        return found
    place = delay(m, request.place, MEMORY, name=f"{name}_place")
    single = delay(m, request.single, MEMORY, name=f"{name}_single")
    bits = found.as_value()
    word = bits.word_select(place.bank, len(bits) // p.row_width) if p.row_width > 1 else bits
    word = Mux(place.zero, 0, word).replicate(p.row_width)
    return data.View(found.shape(), Mux(single, word, bits))
