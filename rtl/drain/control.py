# SPDX-License-Identifier: Apache-2.0
"""DRAIN's control: which group of rows drains, and what is to become of it."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Drain, Target
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.drain.address import DrainAddress
from hlsgen.rtl.format.jobs import drain_job, drain_tag
from hlsgen.rtl.format.widths import groups_of, queue_bits, rows_of_group, tile_groups, width_bits
from hlsgen.rtl.parts.pipeline import address_bits, without_reset


# A job of two blocks of two groups, captured four cycles apart, and the next job:
#
#   cycle      0        1        2        4        5        6        7
#   jobs       job 0                                        job 1
#   captured   block 0                    block 1
#   job                 job 0    job 0    job 0    job 0    job 0    job 1
#   row, tag            group 0  group 1           group 0  group 1
#   ends.row                     1                          1
#   ends.job                                                1
class DrainControl(wiring.Component):
    """Walks over the groups of captured blocks; jobs follow one another without a gap.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Jobs carry what the trace needs.

    Members
    -------
    jobs : In(stream)
    captured : In(1)
        A block is held from the next cycle on.
    job : Out(drain_job)
        The job whose block is held.
    row : Out(valid, index, block_first)
        The group that drains in this cycle; the job's first block.
    tag : Out(drain_tag)
        What travels with the group through the pipeline.
    begins_route : Out(1)
        The row is a router command's first; only in machines with experts, as the next one.
    queue_address : Out
        The row's place in the expert queues.

    Latency
    -------
    A block's first group drains in the cycle after `captured`.

    Throughput
    ----------
    One group a cycle.
    """

    jobs: stream.Interface
    captured: Signal
    job: Any
    row: Any
    tag: Any
    begins_route: Signal
    queue_address: Signal

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        p = self._parameters = parameters
        self._trace = trace
        row = {"valid": 1, "index": address_bits(tile_groups(p)), "block_first": 1}
        super().__init__(
            {
                "jobs": In(stream.Signature(drain_job(p, trace))),
                "captured": In(1),
                "job": Out(drain_job(p, trace)),
                "row": Out(data.StructLayout(row)),
                "tag": Out(drain_tag(p, trace)),
                **({"begins_route": Out(1), "queue_address": Out(queue_bits(p))} if p.experts else {}),
            }
        )
        without_reset(self, "job")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        self._tag(m, self._walk(m))
        return m

    def _walk(self, m: Module) -> Any:
        """Which group of which block drains, and what ends with it."""
        p, job, row = self._parameters, self.job, self.row
        blocks, takes = Signal.like(job.blocks), Signal(init=1)
        ends = Signal(data.StructLayout({"row": 1, "block": 1, "job": 1, "last_block": 1}))
        # What ends with a row is known a cycle ahead; so is `takes`: without a job, or with its last row.
        row_last, block_last, job_last = Signal(), Signal(), Signal()
        job_last_next, new = Signal(), self.jobs.payload
        m.d.comb += [
            ends.row.eq(row_last),
            ends.block.eq(block_last),
            ends.last_block.eq(block_last),
            ends.job.eq(row.valid & job_last),
            self.jobs.ready.eq(takes),
            job_last_next.eq(job_last),
        ]
        one_row, row_next = groups_of(p, job.rows) == 1, row.index + 2 == groups_of(p, job.rows)
        with m.If(row.valid):
            m.d.sync += [row.index.eq(row.index + 1), row_last.eq(row_next)]
            m.d.comb += job_last_next.eq(row_next & block_last)
            with m.If(row_last):
                m.d.sync += [row.valid.eq(0), row.index.eq(0), row.block_first.eq(0), blocks.eq(blocks - 1)]
                m.d.sync += [row_last.eq(one_row), block_last.eq(blocks == 2)]
                m.d.comb += job_last_next.eq(one_row & (blocks == 2))
        with m.If(self.captured):
            m.d.sync += row.valid.eq(1)
        with m.If(takes):
            single = groups_of(p, new.rows) == 1
            m.d.sync += [job.eq(new), blocks.eq(new.blocks), row.block_first.eq(1)]
            m.d.sync += [row_last.eq(single), block_last.eq(new.blocks == 1)]
            m.d.comb += job_last_next.eq(single & (new.blocks == 1))
        m.d.sync += job_last.eq(job_last_next)
        self._take(m, takes, self.captured | (row.valid & ~row_last), job_last_next)
        return ends

    def _take(self, m: Module, takes: Signal, row_next: Value, job_last_next: Value) -> None:
        """Whether a job is taken in the next cycle: none is there, or its last row drains then."""
        has_job, has_job_next = Signal(), Signal()
        m.d.comb += has_job_next.eq(Mux(takes, self.jobs.valid, has_job))
        m.d.sync += [has_job.eq(has_job_next), takes.eq(~has_job_next | (row_next & job_last_next))]

    def _tag(self, m: Module, ends: Any) -> None:
        """What travels with the group."""
        p, job, row, tag = self._parameters, self.job, self.row, self.tag
        address = self._address(m, ends)
        left = self._keys_left(m, ends)
        scores, plain = job.kind == Kind.SCORES, job.kind == Kind.PLAIN
        m.d.comb += [
            tag.valid.eq(row.valid),
            tag.scores.eq(row.valid & scores),
            tag.activation.eq(plain & (job.drain == Drain.ACTIVATION)),
            tag.add.eq(plain & ((job.drain == Drain.ADD) | (job.drain == Drain.COMBINE))),
            tag.stream.eq(row.valid & plain & (job.drain == Drain.ADD) & job.stream_addend),
            tag.bank.eq(job.activation_bank),
            tag.address.eq(address.address),
            tag.lane.eq(address.lane),
            tag.addend_address.eq(address.address + job.addend_offset),
            tag.mask.eq(Cat(left > lane for lane in range(p.columns))),
            tag.restart.eq(row.block_first),
            tag.slot.eq(job.slot),
            tag.row.eq(row.index),
            tag.rows.eq(rows_of_group(p, job.rows, ends.row)),
            tag.end_scores.eq(ends.job & scores),
            tag.end_tile.eq(ends.job & job.end_tile),
            tag.end_command.eq(ends.job & job.end_command),
            tag.end_program.eq(ends.job & job.end_command & job.last),
        ]
        for target in Target:
            chosen = row.valid & ~scores & (job.target == target)
            m.d.comb += tag.to[target.name.lower()].eq(chosen)
        self._tag_options(m, ends, plain)
        if self._trace:
            self._tag_trace(m, ends)

    def _address(self, m: Module, ends: Any) -> DrainAddress:
        """Where the group goes."""
        m.submodules.address = address = DrainAddress(self._parameters, trace=self._trace)
        m.d.comb += [
            address.load.eq(self.jobs.valid & self.jobs.ready),
            address.new.eq(self.jobs.payload),
            address.job.eq(self.job),
            address.row.eq(self.row.valid),
            address.row_last.eq(ends.row),
            address.block_last.eq(ends.block),
        ]
        return address

    def _keys_left(self, m: Module, ends: Any) -> Signal:
        """Keys of the job from the block's first column on."""
        left = Signal.like(self.job.keys)
        with m.If(self.row.valid & ends.row):
            m.d.sync += left.eq(left - self._parameters.columns)
        with m.If(self.jobs.ready):
            m.d.sync += left.eq(self.jobs.payload.keys)
        return left

    def _tag_options(self, m: Module, ends: Any, plain: Value) -> None:
        """What only machines with streamed attention or with experts have."""
        p, job, row, tag = self._parameters, self.job, self.row, self.tag
        if p.score_addends:
            scores, residual = (
                job.kind == Kind.SCORES,
                (job.drain == Drain.ADD) | (job.drain == Drain.COMBINE),
            )
            m.d.comb += [
                tag.add.eq(job.stream_addend | (plain & residual)),
                tag.stream.eq(row.valid & job.stream_addend),
                tag.score_addends.eq(row.valid & scores & job.stream_addend),
            ]
        if p.addend_words:
            m.d.comb += [
                tag.keeps.eq(row.valid & job.keeps),
                tag.again.eq(job.again),
                tag.end_head.eq(ends.job & job.last_tile),
            ]
        if p.streamed:
            m.d.comb += [
                tag.store_first.eq(job.fresh & row.block_first & (row.index == 0)),
                tag.head_end.eq(ends.job & job.last_tile),
            ]
        if p.experts:
            router = job.target == Target.QUEUES
            m.d.comb += [
                tag.combine.eq(row.valid & plain & (job.drain == Drain.COMBINE)),
                tag.token_end.eq(row.valid & plain & router & ends.last_block & job.end_tile),
                tag.gate_shift.eq(job.gate_shift),
                tag.addend_offset.eq(job.addend_offset),
                self.begins_route.eq(row.valid & router & job.fresh & row.block_first & (row.index == 0)),
                self.queue_address.eq(job.queue + row.index),
            ]

    def _tag_trace(self, m: Module, ends: Any) -> None:
        """What the trace says of the group."""
        job, row, shown, block = self.job, self.row, self.tag.trace, Signal(16)
        m.d.sync += block.eq(Mux(row.valid & ends.row, block + 1, block))
        with m.If(self.jobs.ready):
            m.d.sync += block.eq(self.jobs.payload.block)
        m.d.comb += [
            shown.command.eq(job.command),
            shown.kind.eq(job.kind),
            shown.head.eq(job.head),
            shown.row.eq(job.token + (row.index << width_bits(self._parameters))),
            shown.word.eq(block),
        ]
