# SPDX-License-Identifier: Apache-2.0
"""DRAIN: takes a group of rows of finished accumulators a cycle through a pipeline that never stalls."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.interface import TRACE_PORTS, Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import queue_depth
from hlsgen.numerics import SHIFT_BITS
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.attention import ContextScales, RowMaxima
from hlsgen.rtl.drain.combine import GATED_BITS, GateRows
from hlsgen.rtl.drain.control import DrainControl
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.drain.streams import DrainStreams
from hlsgen.rtl.drain.tags import ADDEND_LEAD, MAXIMUM_LEAD, at_result, at_write, drain_tags
from hlsgen.rtl.experts.queues import queue_entry
from hlsgen.rtl.experts.route import route_config
from hlsgen.rtl.experts.select import logit_address_bits
from hlsgen.rtl.format.jobs import (
    drain_bits,
    drain_job,
    field,
    group_lanes,
    memory_bits,
    output_word,
    queue_bits,
    score_words,
    tile_groups,
    trace_signature,
    write_lane_bits,
)
from hlsgen.rtl.format.streams import constant_word
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, delay, register, without_reset

LOAD_LEAD = 3
"""Cycles between a row's write and the earliest `drained` that LOAD may see: it reads 4 cycles later."""
OPERAND_LEAD = 1
"""The same for MULTIPLY, which reads 2 cycles later."""


class DrainStage(wiring.Component):
    """Requantizes, transforms and writes what the array has captured.

    A group is `row_width` rows; W below is that number. Row r of a tile is row r % W of group r // W.

    Parameters
    ----------
    parameters
        The machine's shape.
    style
        `Multiplier` style.
    block
        The activation's tables lie in memory blocks: see `Table`.
    trace
        Show the words written.

    Members
    -------
    jobs : In(stream)
    captured : In(1)
        From the next cycle on `held` is a block.
    held : In(R*C x signed accumulator)
    constants : In(C x bias, multiplier, shift)
        The block's, from two cycles after `captured` on.
    drained_commands, drained_tiles, operand_commands : Out
        For LOAD; the commands for MULTIPLY and the tables.
    scores_drained : Out(1)
    scale_write, scale_slot, scale_row, scale_multiplier, scale_shift : In
    maxima : Out(2*R x signed logit)
    table_write, table_address, table_data : In
        The activation table.
    addends : In(stream), addend_level : Out, output : Out(stream), output_space, output_left : Out(1)
    reserve_addends, reserve_output : In(1), reserved : In
        See `DrainStreams`.
    addend_address : Out, addend : In
        Residual memory, data 2 cycles after the address.
    write_features, write_residual, write_keys, write_values : Out(1)
    write_address, write_lane : Out
    write_rows : Out(W)
        Which rows of the group are real.
    write_word : Out(W*C x signed 16)
    score_write, score_address, score_word : Out
    done : Out(1)
        The program's last command has drained and its output has left.
    retired : In(stream(1))
        For each command in order whether it was skipped; only where commands may be.
    queue_address : Out, queue_entry : In
        The expert queues, 2 cycles apart; these and the following only in machines with experts.
    route_begin : Out(1), route_config : Out
    route_write, route_token_end, route_command_end : Out(1), route_address, route_word : Out
        See `Route`.
    trace : Out(trace_signature)

    Latency
    -------
    A group is written `at_write` cycles after it was selected, logits `at_result` cycles.

    Throughput
    ----------
    One group a cycle.
    """

    jobs: stream.Interface
    captured: Signal
    held: Any
    constants: Any
    drained_commands: Signal
    drained_tiles: Signal
    operand_commands: Signal
    scores_drained: Signal
    scale_write: Signal
    scale_slot: Signal
    scale_row: Signal
    scale_multiplier: Signal
    scale_shift: Signal
    maxima: Any
    table_write: Signal
    table_address: Signal
    table_data: Signal
    addends: stream.Interface
    addend_level: Signal
    output: stream.Interface
    output_space: Signal
    output_left: Signal
    reserve_addends: Signal
    reserve_output: Signal
    reserved: Signal
    addend_address: Signal
    addend: Any
    write_features: Signal
    write_residual: Signal
    write_keys: Signal
    write_values: Signal
    write_address: Signal
    write_lane: Signal
    write_rows: Signal
    write_word: Any
    score_write: Signal
    score_address: Signal
    score_word: Any
    done: Signal
    retired: stream.Interface
    queue_address: Signal
    queue_entry: Any
    route_begin: Signal
    route_config: Any
    route_write: Signal
    route_token_end: Signal
    route_command_end: Signal
    route_address: Signal
    route_word: Any
    trace: Any

    def __init__(
        self, parameters: MachineParameters, *, style: str = "plain", block: bool = False, trace: bool = False
    ) -> None:
        self._parameters, self._style, self._block, self._trace = parameters, style, block, trace
        p, columns, lanes = parameters, parameters.columns, group_lanes(parameters)
        members: dict[str, Any] = {
            "jobs": In(stream.Signature(drain_job(p, trace))),
            "captured": In(1),
            "held": In(data.ArrayLayout(signed(p.accumulator_bits), p.rows * columns)),
            "constants": In(data.ArrayLayout(constant_word(), columns)),
            "drained_commands": Out(p.command_count_bits),
            "drained_tiles": Out(field(p, "tiles")),
            "operand_commands": Out(p.command_count_bits),
            "scores_drained": Out(1),
            "scale_write": In(1),
            "scale_slot": In(1),
            "scale_row": In(address_bits(tile_groups(p))),
            "scale_multiplier": In(data.ArrayLayout(16, p.row_width)),
            "scale_shift": In(data.ArrayLayout(SHIFT_BITS, p.row_width)),
            "maxima": Out(data.ArrayLayout(signed(p.logit_bits), 2 * p.rows)),
            "table_write": In(1),
            "table_address": In(6),
            "table_data": In(64),
            "addends": In(stream.Signature(16 * lanes)),
            "addend_level": Out(count_bits(queue_depth(p))),
            "output": Out(stream.Signature(output_word(p))),
            "output_space": Out(1),
            "output_left": Out(1),
            "reserve_addends": In(1),
            "reserve_output": In(1),
            "reserved": In(count_bits(tile_groups(p))),
            "addend_address": Out(memory_bits(p)),
            "addend": In(words_of(16, lanes)),
            **{f"write_{name}": Out(1) for name in ("features", "residual", "keys", "values")},
            "write_address": Out(drain_bits(p)),
            "write_lane": Out(write_lane_bits(p)),
            "write_rows": Out(p.row_width),
            "write_word": Out(words_of(16, lanes)),
            "score_write": Out(1),
            "score_address": Out(address_bits(score_words(p))),
            "score_word": Out(words_of(p.logit_bits, lanes)),
            "done": Out(1),
        }
        if p.planned:
            members["retired"] = In(stream.Signature(1))
        if p.experts:
            members |= {
                "queue_address": Out(queue_bits(p)),
                "queue_entry": In(queue_entry(p)),
                "route_begin": Out(1),
                "route_config": Out(route_config(p)),
                "route_write": Out(1),
                "route_token_end": Out(1),
                "route_command_end": Out(1),
                "route_address": Out(logit_address_bits(p)),
                "route_word": Out(words_of(p.logit_bits, lanes)),
            }
        if trace:
            members["trace"] = Out(trace_signature(p))
        super().__init__(members)
        without_reset(self, "write_word")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        m.submodules.control = control = DrainControl(p, trace=self._trace)
        wiring.connect(m, wiring.flipped(self.jobs), control.jobs)
        m.d.comb += control.captured.eq(self.captured)
        job, row = control.job, control.row
        tags = drain_tags(m, p, control.tag, lambda tag: self._placed(m, tag), memory=self._block)
        result = self._requantize(m, job, row)
        if p.experts:
            result = self._gate(m, control, tags, result)
        self._scores(m, tags, result)
        streams = self._finish(m, tags, result)
        self._count(m, tags, streams.output_left)
        if self._trace:
            self._show(m, tags[at_write(p)])
        return m

    # -- experts -----------------------------------------------------------------------------------------

    def _placed(self, m: Module, tag: Any) -> Any:
        """The tag of a row whose place and gate its queue entry tells."""
        entry, placed = self.queue_entry, Signal(tag.shape(), name="placed")
        m.d.comb += [placed.eq(tag), placed.gate.eq(entry.gate)]
        with m.If(tag.combine):
            address = (tag.address + entry.offset)[: len(tag.address)]
            m.d.comb += [
                placed.address.eq(address),
                placed.addend_address.eq(address + Mux(entry.first, tag.addend_offset, 0)),
            ]
        return placed

    def _gate(self, m: Module, control: DrainControl, tags: dict[int, Any], result: Any) -> Any:
        """Weighted results; logits of a router to `Route`."""
        p = self._parameters
        tag = tags[at_result(p) - GateRows.latency]
        m.submodules.gate = gate = GateRows(group_lanes(p))
        job = control.job
        last = tags[at_result(p)]
        m.d.comb += [
            gate.x.eq(result),
            gate.gate.eq(tag.gate),
            gate.shift.eq(tag.gate_shift),
            gate.weighs.eq(tag.combine),
            self.queue_address.eq(control.queue_address),
            self.route_begin.eq(control.begins_route),
            *(getattr(self.route_config, name).eq(getattr(job, name)) for name in route_config(p).members),
            self.route_write.eq(last.to_queues),
            self.route_token_end.eq(last.token_end),
            self.route_command_end.eq(last.end_command),
            self.route_address.eq(last.address),
        ]
        m.d.comb += [
            self.route_word[lane].eq(gate.result[lane][: p.logit_bits].as_signed())
            for lane in range(group_lanes(p))
        ]
        return gate.result

    # -- data --------------------------------------------------------------------------------------------

    def _requantize(self, m: Module, job: Any, row: Any) -> Any:
        """Select the group; its constants are the block's, the command's or, in contexts, the rows'."""
        p, lanes, style = self._parameters, group_lanes(self._parameters), self._style
        m.submodules.requantize = requantize = Requantize(
            lanes, p.accumulator_bits, style=style, memory=self._block
        )
        scales = [self._scales(m, job, row, index) for index in range(p.row_width)]
        held = self.held
        groups = [range(first, first + lanes) for first in range(0, p.rows * p.columns, lanes)]
        rows = Array([Cat(held[cell] for cell in group) for group in groups])
        plain, scores = (register(m, job.kind == kind, name=kind.name) for kind in (Kind.PLAIN, Kind.SCORES))
        fixed = register(m, Cat(job.multiplier, job.shift), name="fixed")
        m.d.comb += [
            requantize.accumulator.eq(register(m, rows[row.index], name="accumulators")),
            requantize.low.eq(register(m, job.low, name="low")),
            requantize.high.eq(register(m, job.high, name="high")),
        ]
        multipliers = [Mux(scores, fixed[:15], scale.multiplier) for scale in scales]
        shifts = [Mux(scores, fixed[15:], scale.shift) for scale in scales]
        for lane in range(lanes):
            index, column = divmod(lane, p.columns)
            constant = self.constants[column]
            m.d.comb += [
                requantize.bias[lane].eq(Mux(plain, constant.bias, 0)),
                requantize.multiplier[lane].eq(Mux(plain, constant.multiplier, multipliers[index])),
                requantize.shift[lane].eq(Mux(plain, constant.shift, shifts[index])),
            ]
        return requantize.result

    def _scales(self, m: Module, job: Any, row: Any, index: int) -> ContextScales:
        """The scales of one row of every group."""
        scales = ContextScales(tile_groups(self._parameters))
        m.submodules[f"scales_{index}"] = scales
        m.d.comb += [
            scales.write.eq(self.scale_write),
            scales.write_slot.eq(self.scale_slot),
            scales.write_row.eq(self.scale_row),
            scales.write_multiplier.eq(self.scale_multiplier[index]),
            scales.write_shift.eq(self.scale_shift[index]),
            scales.slot.eq(job.slot),
            scales.row.eq(row.index),
        ]
        return scales

    def _scores(self, m: Module, tags: dict[int, Any], result: Any) -> None:
        """Logits leave the pipeline as soon as they are saturated."""
        p, tag = self._parameters, tags[at_result(self._parameters)]
        m.d.comb += [self.score_write.eq(tag.scores), self.score_address.eq(tag.address)]
        latency = 0
        for index in range(p.row_width):
            first = index * p.columns
            logits = [result[first + lane][: p.logit_bits].as_signed() for lane in range(p.columns)]
            latency = self._maxima(m, tag, index, logits)
            m.d.comb += [self.score_word[first + lane].eq(logit) for lane, logit in enumerate(logits)]
        drained = max(MAXIMUM_LEAD, at_result(p) + latency - MAXIMUM_LEAD)
        m.d.comb += self.scores_drained.eq(tags[drained].end_scores)

    def _maxima(self, m: Module, tag: Any, index: int, logits: list[Value]) -> int:
        """The maxima of one row of every group; returns their latency."""
        p = self._parameters
        maxima = RowMaxima(p)
        m.submodules[f"maxima_{index}"] = maxima
        m.d.comb += [
            maxima.valid.eq(tag.scores),
            maxima.mask.eq(tag.mask),
            maxima.restart.eq(tag.restart),
            maxima.slot.eq(tag.slot),
            maxima.row.eq(tag.row),
        ]
        m.d.comb += [maxima.logits[lane].eq(logit) for lane, logit in enumerate(logits)]
        m.d.comb += [
            self.maxima[group * p.row_width + index].eq(maxima.maxima[group])
            for group in range(2 * tile_groups(p))
        ]
        return maxima.latency

    def _finish(self, m: Module, tags: dict[int, Any], result: Any) -> DrainStreams:
        """Table or addition, then the write."""
        p = self._parameters
        tag, last = tags[at_result(p)], tags[at_write(p) - 1]
        lanes = group_lanes(p)
        m.submodules.activation = activation = Activation(lanes, block=self._block)
        m.submodules.add = add = AddRows(lanes, GATED_BITS if p.experts else 16)
        m.submodules.streams = streams = DrainStreams(p)
        m.d.comb += [
            activation.table_write.eq(self.table_write),
            activation.table_address.eq(self.table_address),
            activation.table_data.eq(self.table_data),
            activation.bank.eq(tag.bank),
            *(activation.x[lane].eq(result[lane]) for lane in range(lanes)),
            self.addend_address.eq(tags[at_result(p) - ADDEND_LEAD].addend_address),
            add.x.eq(result),
            add.addend.eq(Mux(tag.add, Mux(tag.stream, streams.addend, self.addend.as_value()), 0)),
            streams.take_addend.eq(tag.stream),
            streams.reserve_addends.eq(self.reserve_addends),
            streams.reserve_output.eq(self.reserve_output),
            streams.reserved.eq(self.reserved),
            self.addend_level.eq(streams.addend_level),
            self.output_space.eq(streams.output_space),
            self.output_left.eq(streams.output_left),
        ]
        self._leave(m, streams, tags[at_write(p)])
        wiring.connect(m, wiring.flipped(self.addends), streams.addends)
        wiring.connect(m, streams.output, wiring.flipped(self.output))
        added = delay(m, add.result, Activation.latency - AddRows.latency, name="added")
        with m.If(last.activation):
            for lane in range(lanes):
                m.d.sync += self.write_word[lane].eq(activation.result[lane])
        with m.Else():
            m.d.sync += self.write_word.eq(added)
        written = tags[at_write(p)]
        m.d.comb += [
            self.write_address.eq(written.address),
            self.write_lane.eq(written.lane),
            self.write_rows.eq(written.rows),
        ]
        for name in ("features", "residual", "keys", "values"):
            m.d.comb += getattr(self, f"write_{name}").eq(getattr(written, f"to_{name}"))
        return streams

    def _leave(self, m: Module, streams: DrainStreams, tag: Any) -> None:
        """Results that go to external memory."""
        word, real, lanes = streams.output_word, self._real_rows(tag.rows), group_lanes(self._parameters)
        if not self._parameters.streamed:
            m.d.comb += [streams.put_output.eq(tag.to_output), word.data.eq(real)]
            return
        store = tag.to_keys | tag.to_values
        narrow = Cat(real.word_select(lane, 16)[:8] for lane in range(lanes))
        m.d.comb += [
            streams.put_output.eq(tag.to_output | store),
            word.data.eq(Mux(store, narrow, real)),
            word.store.eq(store),
            word.values.eq(tag.to_values),
            word.first.eq(tag.store_first),
            word.head_end.eq(tag.head_end),
        ]

    def _real_rows(self, rows: Value) -> Value:
        """The written words, zero where a group has no row."""
        if self._parameters.row_width == 1:
            return self.write_word.as_value()
        size = 16 * self._parameters.columns
        words = [self.write_word.as_value().word_select(index, size) for index in range(len(rows))]
        return Cat(Mux(rows[index], word, 0) for index, word in enumerate(words))

    def _count(self, m: Module, tags: dict[int, Any], output_left: Value) -> None:
        """Drained commands and tiles; for LOAD as early as its way to the memory allows."""
        write = at_write(self._parameters)
        tag = tags[write - LOAD_LEAD]
        with m.If(tag.end_tile):
            m.d.sync += self.drained_tiles.eq(self.drained_tiles + 1)
        with m.If(tag.end_command):
            m.d.sync += self.drained_tiles.eq(0)
        with m.If(self._retires(m, tag.end_command)):
            m.d.sync += self.drained_commands.eq(self.drained_commands + 1)
        operand = delay(m, self.drained_commands, LOAD_LEAD - OPERAND_LEAD, name="operand")
        m.d.comb += self.operand_commands.eq(operand)
        ended = Signal()
        with m.If(tags[write].end_program):
            m.d.sync += ended.eq(1)
        m.d.sync += self.done.eq(ended & output_left)

    def _retires(self, m: Module, ends: Value) -> Value:
        """Whether one more command of the program is over: drained, or skipped after those before it."""
        if not self._parameters.planned:
            return ends
        waiting, over = Signal(4), Signal()
        skipped = self.retired.payload
        m.d.comb += [
            over.eq(self.retired.valid & (skipped | ends | (waiting != 0))),
            self.retired.ready.eq(over),
        ]
        m.d.sync += waiting.eq(waiting + ends - (over & ~skipped))
        return over

    def _show(self, m: Module, tag: Any) -> None:
        shown = self.trace
        m.d.comb += [shown.valid.eq(Mux(tag.valid, tag.rows, 0)), shown.data.eq(self.write_word)]
        for name in TRACE_PORTS:
            m.d.comb += getattr(shown, name).eq(getattr(tag, f"trace_{name}"))
