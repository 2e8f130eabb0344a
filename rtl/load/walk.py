# SPDX-License-Identifier: Apache-2.0
"""Addresses of the modes that read rows of words: rows, layer_norm, exp, pool."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Load
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.experts import QueueRead, QueueReadPorts
from hlsgen.rtl.format.jobs import load_job, load_tag
from hlsgen.rtl.format.widths import (
    groups_of,
    memory_bits,
    row_bits,
    rows_of_group,
    score_words,
    slot_base,
    tile_groups,
    width_bits,
)
from hlsgen.rtl.load.row_unit import PRODUCTS
from hlsgen.rtl.load.runs import ListWalk, list_port, row_place
from hlsgen.rtl.parts.memories import TableWritePorts
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, register, without_reset


def request_layout(p: MachineParameters, trace: bool) -> data.StructLayout:
    """A group's words to read: their memory by a flag each, their address, and what they are.

    high: high digits of exps. single: a word of one row of a run list, in the bank that `place` says.
    """
    return data.StructLayout(
        {
            "features": 1,
            "residual": 1,
            "scores": 1,
            "address": memory_bits(p),
            "score_address": address_bits(score_words(p)),
            "mask": p.columns,
            "bank": 1,
            "inner_first": 1,
            "inner_last": 1,
            **({"high": 1} if p.numerator_digits > 1 else {}),
            "pool_rows": p.row_width,
            "tag": load_tag(p, trace),
            **({"single": 1, "place": row_place(p)} if p.list_words else {}),
        }
    )


class _Left:
    """Registers: words that are left of a tile, inner and outer, and what the next one is the last of.

    What decides about a job's end is known a cycle ahead: LOAD's next job starts in that cycle.
    """

    def __init__(self, bits: int, *, digits: int = 1) -> None:
        self.wide = Signal(name="wide") if digits > 1 else C(0, 1)
        """Rows are walked over twice: for the high digits, then for the low ones."""
        self.high: Value = Signal(name="high") if digits > 1 else C(0, 1)
        """The word is of the first walk."""
        self._digits = digits > 1
        self.inner, self.outer = Signal(bits, name="inner"), Signal(bits, name="outer")
        self.first, self.outer_first = Signal(name="first"), Signal(name="outer_first")
        self.inner_last, self.outer_last = Signal(name="inner_last"), Signal(name="outer_last")
        self.final, self.single = Signal(name="final"), Signal(name="single")

    @property
    def row_last(self) -> Value:
        """The word is its row's last."""
        return self.inner_last & ~self.high if self._digits else self.inner_last

    @property
    def turns(self) -> Value | None:
        """A row's low digits are next; None: rows have one digit."""
        return self.inner_last & self.high if self._digits else None

    def begin(self, inner_size: Value, outer_size: Value, wide: Value) -> list[Any]:
        """Statements: a tile of so many words begins; `wide`: its rows have two digits."""
        final = (inner_size == 1) & (outer_size == 1)
        twice = [self.wide.eq(wide), self.high.eq(wide)] if self._digits else []
        return [
            *twice,
            self.first.eq(1),
            self.outer_first.eq(1),
            self.inner.eq(inner_size),
            self.inner_last.eq(inner_size == 1),
            self.single.eq(inner_size == 1),
            self.outer.eq(outer_size),
            self.outer_last.eq(outer_size == 1),
            self.final.eq(final & ~wide if self._digits else final),
        ]

    def advance(self, m: Module, inner_size: Value) -> None:
        """To the next word."""
        m.d.sync += [self.inner.eq(self.inner - 1), self.inner_last.eq(self.inner == 2), self.first.eq(0)]
        final = (self.inner == 2) & self.outer_last
        m.d.sync += self.final.eq(final & ~self.high if self._digits else final)
        if self._digits:
            with m.If(self.inner_last & self.high):
                m.d.sync += [self.high.eq(0), self.inner.eq(inner_size), self.inner_last.eq(self.single)]
                m.d.sync += self.final.eq(self.single & self.outer_last)
        last = self.single & (self.outer == 2)
        with m.If(self.row_last):
            m.d.sync += [
                self.outer.eq(self.outer - 1),
                self.outer_last.eq(self.outer == 2),
                self.final.eq(last & ~self.wide if self._digits else last),
                self.outer_first.eq(0),
                self.inner.eq(inner_size),
                self.inner_last.eq(self.single),
                self.first.eq(1),
                *([self.high.eq(self.wide)] if self._digits else []),
            ]


# A job of one row of two words, another one behind it:
#
#   cycle       0      1       2       3       4
#   start       job 0          job 1
#   busy               job 0   job 0   job 1
#   asks               word 0  word 1  word 0
#   finishing                  1
#   request                    word 0  word 1  word 0   registers
#
# In layer norm two groups' first words are `PRODUCTS` cycles apart; so they are in a job that gathers, where
# a row's place is there 4 cycles after `queue.address` has moved on.
class RowWalk(wiring.Component):
    """Walks over the words of a tile: group by group, or for pooling word by word with groups inner.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Tags carry the trace.

    Members
    -------
    start : In(1)
        With `job` and `slot_word`; only while idle or finishing. Then registers take note of both anyhow.
    busy : Out(1)
    finishing : Out(1)
        The last word is being asked for.
    request : Out
        Registered; flags are 0 when there is none.
    queue : Out(QueueRead)
        Where the row of a queue's entry lies; only in machines with experts.
    lists : In(TableWrite)
        The memory of run lists; only in machines that have them. Rows of a list come one by one.

    Latency
    -------
    2 cycles from start to the first request; 7 to that of a run list's first row.

    Throughput
    ----------
    A group's words a cycle; groups of layer norm at least `PRODUCTS` cycles apart.
    """

    start: Signal
    job: Any
    slot_word: Signal
    busy: Signal
    finishing: Signal
    request: Any
    queue: QueueReadPorts
    lists: TableWritePorts

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        self._parameters, self._trace = parameters, trace
        super().__init__(
            {
                "start": In(1),
                "job": In(load_job(parameters, trace)),
                "slot_word": In(load_tag(parameters, trace).members["word"]),
                "busy": Out(1),
                "finishing": Out(1),
                "request": Out(request_layout(parameters, trace)),
                **({"queue": Out(QueueRead(parameters))} if parameters.experts else {}),
                **list_port(parameters),
            }
        )
        without_reset(self, "request")
        self._loads = Signal(name="loads")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        job, slot_word = Signal(load_job(p, self._trace), reset_less=True), Signal.like(self.slot_word)
        pool, context = Signal(), Signal()
        address, issue, held = Signal(self._address_bits), Signal(), Signal()
        bits = max(count_bits(p.tile_words), row_bits(p), field(p, "pool_rows"))
        at = _Left(bits, digits=p.numerator_digits)
        goes = self.busy & ~held & ~self._spaced(m, issue, job)
        lists = ListWalk(m, p, self.job, self.start, self.lists) if p.list_words else None
        goes = goes & ~lists.starved if lists else goes
        m.d.comb += [issue.eq(goes), self.finishing.eq(goes & at.final)]
        waits = self._gap(m, issue & at.first & (job.load == Load.LAYER_NORM))
        first_next = self._loads | Mux(issue, at.inner_last, at.first)
        m.d.sync += held.eq(first_next & waits)
        place = self._gathered(m, job, issue & at.first, at.first, address) if p.experts else address
        place = Mux(lists.begins, lists.place.address, place) if lists else place
        with m.If(issue):
            at.advance(m, Mux(pool, groups_of(p, job.pool_rows), job.words))
        self._start(m)
        with m.If(self._loads):
            is_pool = (self.job.load == Load.POOL) | (self.job.load == Load.POOL_NORM)
            m.d.sync += [job.eq(self.job), slot_word.eq(self.slot_word)]
            m.d.sync += [pool.eq(is_pool), context.eq(self.job.kind == Kind.CONTEXT)]
            inner_size = Mux(is_pool, groups_of(p, self.job.pool_rows), self.job.words)
            groups = groups_of(p, self.job.rows)
            groups = Mux(lists.coming, self.job.rows, groups) if lists else groups
            m.d.sync += at.begin(inner_size, Mux(is_pool, self.job.words, groups), self._is_wide())
        stride = Mux(context, p.score_words, job.source_stride)
        beside, step = place + Mux(pool, stride, 1), Mux(pool, 1, stride)
        self._move(m, address, beside, step, context, at.turns, ends=(issue, at.row_last, at.final))
        self._request(m, job, issue, place, context, at)
        ends = (at.outer_first, at.row_last, at.outer_last)
        if lists:
            lists.walk(m, job, issue, at.inner_last, self._loads)
            m.d.sync += [self.request.single.eq(lists.listed), self.request.place.eq(lists.held)]
        rows = rows_of_group(p, job.rows, at.outer_last)
        rows = Mux(lists.listed, lists.row, rows) if lists else rows
        self._tag(m, job, slot_word, issue, pool, rows, lists.group_last if lists else 1, ends)
        return m

    def _move(
        self,
        m: Module,
        address: Signal,
        beside: Value,
        step: Value,
        context: Value,
        turns: Value | None,
        *,
        ends: tuple[Value, ...],
    ) -> None:
        """The next word lies beside this one, behind the row's first word, or where the next job begins.

        turns: a row's low digits are next. ends: a word is asked for, it is its row's, its job's last.
        """
        issue, row_ends, job_ends = ends
        row, saved = Signal.like(address, name="row_address"), Signal.like(address, name="saved")
        following, begin = (row + step)[: len(row)], self._begin(saved)
        with m.If(issue):
            m.d.sync += address.eq(beside)
        if turns is not None:
            with m.If(issue & turns):
                m.d.sync += address.eq(row)
        with m.If(issue & row_ends & ~context):
            m.d.sync += saved.eq(following)
        with m.If(self._loads):
            m.d.sync += [address.eq(begin), row.eq(begin)]
        # The next job may go on where this one ends: `saved` has that a cycle later.
        goes_on = ~context & (self.job.kind != Kind.CONTEXT) & ~self.job.first
        with m.If(issue & row_ends & (~job_ends | goes_on)):
            m.d.sync += [address.eq(following), row.eq(following)]

    def _is_wide(self) -> Value:
        """Whether the next job makes two digits of each exp."""
        if self._parameters.numerator_digits == 1:
            return C(0, 1)
        return self.job.high_digits & (self.job.kind == Kind.CONTEXT)

    def _start(self, m: Module) -> None:
        """The next job's registers are loaded before it starts: only `busy` waits for that."""
        m.d.comb += self._loads.eq(~self.busy | self.finishing)
        with m.If(self.finishing):
            m.d.sync += self.busy.eq(0)
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)

    def _gap(self, m: Module, opens: Value) -> Value:
        """Whether a group's first word would come too soon in the next cycle.

        `opens`: this word is a group's first in layer norm.
        """
        gap = Signal(range(PRODUCTS))
        m.d.sync += gap.eq(Mux(opens, PRODUCTS - 1, Mux(gap != 0, gap - 1, 0)))
        waits = opens | (gap > 1)
        if self._parameters.experts:  # the first row's place has to be looked up
            gathers = self.start & self.job.gather
            with m.If(gathers):
                m.d.sync += gap.eq(PRODUCTS - 1)
            waits |= gathers
        return waits

    def _spaced(self, m: Module, issue: Value, job: Any) -> Value:
        """The next word has to wait: words that go to the layer norm in parts are as many cycles apart."""
        parts = self._parameters.norm_parts or 1
        if parts == 1:
            return C(0, 1)
        wait = Signal(range(parts))
        norms = (job.load == Load.LAYER_NORM) | (job.load == Load.POOL) | (job.load == Load.POOL_NORM)
        m.d.sync += wait.eq(Mux(issue & norms, parts - 1, Mux(wait != 0, wait - 1, 0)))
        return wait != 0

    @property
    def _address_bits(self) -> int:
        p = self._parameters
        return max(memory_bits(p), address_bits(score_words(p)))

    def _begin(self, saved: Value) -> Value:
        """Where a job's first row lies: in the score tile, at the source, or after the tile before."""
        job = self.job
        scores = slot_base(self._parameters, job.slot)
        return Mux(job.kind == Kind.CONTEXT, scores, Mux(job.first, job.source, saved))

    def _gathered(self, m: Module, job: Any, begins: Value, first: Value, address: Value) -> Value:
        """The word's address: a gathered row begins where its queue entry says.

        Rows are `PRODUCTS` cycles apart, and looking an entry up takes 4.
        """
        row = register(m, (job.source + self.queue.entry.offset)[: self._address_bits], name="gathered_row")
        with m.If(begins):
            m.d.sync += self.queue.address.eq(self.queue.address + 1)
        with m.If(self.start & self.job.first):
            m.d.sync += self.queue.address.eq(self.job.queue)
        return Mux(job.gather & first, row, address)

    def _request(
        self,
        m: Module,
        job: Any,
        issue: Value,
        address: Value,
        context: Value,
        at: _Left,
    ) -> None:
        features = (job.load == Load.ROWS) | ((job.load == Load.ATTENTION) & ~context)
        columns, left = self._parameters.columns, Signal.like(job.keys)
        with m.If(issue):
            m.d.sync += left.eq(Mux(left > columns, left - columns, 0))
            with m.If(at.inner_last):
                m.d.sync += left.eq(job.keys)
        with m.If(self._loads):
            m.d.sync += left.eq(self.job.keys)
        m.d.sync += [
            self.request.features.eq(issue & features),
            self.request.scores.eq(issue & context),
            self.request.residual.eq(issue & ~features & ~context),
            self.request.address.eq(address),
            self.request.score_address.eq(address),
            self.request.mask.eq(Cat(left > lane for lane in range(columns))),
            self.request.bank.eq(job.exp_bank),
            self.request.inner_first.eq(at.first),
            self.request.inner_last.eq(at.inner_last),
            self.request.pool_rows.eq(rows_of_group(self._parameters, job.pool_rows, at.inner_last)),
        ]
        if self._parameters.numerator_digits > 1:
            m.d.sync += self.request.high.eq(at.high)

    def _tag(
        self,
        m: Module,
        job: Any,
        slot_word: Value,
        issue: Value,
        pool: Value,
        rows: Value,
        group_last: Value | int,
        ends: tuple[Value, ...],
    ) -> None:
        p, tag, (outer_first, inner_last, outer_last) = self._parameters, self.request.tag, ends
        lane, word = Signal(address_bits(tile_groups(p))), Signal.like(slot_word)
        index, first = Signal(count_bits(p.tile_words)), Signal()
        with m.If(issue & (inner_last | ~pool)):
            m.d.sync += [word.eq(word + 1), index.eq(index + 1), first.eq(0)]
            with m.If(inner_last & ~pool):
                m.d.sync += [word.eq(slot_word), index.eq(0), lane.eq(lane + group_last), first.eq(1)]
        with m.If(self._loads):
            m.d.sync += [word.eq(self.slot_word), index.eq(0), lane.eq(0), first.eq(1)]
        m.d.sync += [
            tag.lane.eq(lane),
            tag.rows.eq(Mux(pool, 1, rows)),
            tag.word.eq(word),
            tag.row_first.eq(Mux(pool, outer_first, first)),
            tag.row_last.eq(inner_last & (outer_last | ~pool)),
            tag.tile_last.eq(inner_last & outer_last),
            tag.slot.eq(job.slot),
        ]
        if self._trace:
            m.d.sync += [
                tag.trace.command.eq(job.command),
                tag.trace.kind.eq(job.kind),
                tag.trace.head.eq(job.head),
                tag.trace.row.eq(job.token + (lane << width_bits(p))),
                tag.trace.word.eq(index),
            ]
