# SPDX-License-Identifier: Apache-2.0
"""DRAIN: takes a group of rows of finished accumulators a cycle through a pipeline that never stalls."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.machine.time.latency import (
    ACTIVATION,
    ADD,
    ADDEND_LEAD,
    GATE,
    LOAD_LEAD,
    drain_result,
    drain_write,
    score_result,
    scores_drained,
)
from hlsgen.rtl.drain.activation import Activation
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.attention import ContextScales
from hlsgen.rtl.drain.combine import GATED_BITS, GateRows
from hlsgen.rtl.drain.control import DrainControl
from hlsgen.rtl.drain.progress import DrainProgress
from hlsgen.rtl.drain.requantize import Requantize
from hlsgen.rtl.drain.scores import DrainScores, logits_of
from hlsgen.rtl.drain.streams import DrainStreams
from hlsgen.rtl.drain.tags import drain_tags
from hlsgen.rtl.format.experts import (
    QueueRead,
    QueueReadPorts,
    RouterLogits,
    RouterLogitsPorts,
    route_config,
)
from hlsgen.rtl.format.jobs import drain_job, output_word, show, trace_signature
from hlsgen.rtl.format.ports import (
    OperandWrite,
    OperandWritePorts,
    Reservations,
    ReservationsPorts,
    ScaleWrite,
    ScaleWritePorts,
)
from hlsgen.rtl.format.rows import (
    Drained,
    DrainedPorts,
    RowRead,
    RowReadPorts,
    RowWrite,
    RowWritePorts,
    ScoreWrite,
    ScoreWritePorts,
)
from hlsgen.rtl.format.streams import constant_word
from hlsgen.rtl.format.widths import group_lanes, memory_bits
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, words_of
from hlsgen.rtl.parts.pipeline import delay, register, without_reset


# A plain block of groups 0 and 1, from `captured` on; with experts, `GateRows` lies behind 9:
#
#   cycle            0      1  2  3  9  10  12  13  14
#   captured         block
#   held, row               0  1
#   accumulators               0  1                      with the block's constants
#   requantized                      0  1                `drain_result` after the selection
#   scores                           0  1
#   addend.data                      0  1                address from 7 on
#   transformed                             0   1        table or sum
#   rows, operands                              0   1    `drain_write` after the selection
class DrainStage(wiring.Component):
    """Requantizes, transforms and writes what the array has captured.

    A group is `row_width` rows; W below is that number. Row r of a tile is row r % W of group r // W.

    Parameters
    ----------
    parameters
        The machine's shape.
    style, gate_style
        `Multiplier` styles of `Requantize` and of `GateRows`.
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
    drained : Out(Drained), operand_commands : Out
        For LOAD; the commands for MULTIPLY and the tables.
    scale : In(ScaleWrite)
    maxima : Out(S*R x signed logit), of S score tiles
    table : In(TableWrite)
        The activation table.
    addends : In(stream), output : Out(stream), output_left : Out(1), reservations : In(Reservations)
        See `DrainStreams`.
    addend : Out(RowRead)
        Of the residual memory.
    rows : Out(RowWrite), operands : Out(OperandWrite), scores : Out(ScoreWrite)
        Results for the row memories, and as bytes for the key or value memory; logits.
    done : Out(1)
        The program's last command has drained and its output has left.
    retired : In(stream(1))
        For each command in order whether it was skipped; only where commands may be.
    queue : Out(QueueRead), logits : Out(RouterLogits)
        Only in machines with experts.
    trace : Out(trace_signature)

    Latency
    -------
    A group is written `drain_write` cycles after it was selected, logits `drain_result` cycles.

    Throughput
    ----------
    One group a cycle.
    """

    jobs: stream.Interface
    captured: Signal
    held: Any
    constants: Any
    drained: DrainedPorts
    operand_commands: Signal
    scale: ScaleWritePorts
    maxima: Any
    table: TableWritePorts
    addends: stream.Interface
    output: stream.Interface
    output_left: Signal
    reservations: ReservationsPorts
    addend: RowReadPorts
    rows: RowWritePorts
    operands: OperandWritePorts
    scores: ScoreWritePorts
    done: Signal
    retired: stream.Interface
    queue: QueueReadPorts
    logits: RouterLogitsPorts
    trace: Any

    def __init__(
        self,
        parameters: MachineParameters,
        *,
        style: str = "plain",
        gate_style: str = "plain",
        block: bool = False,
        trace: bool = False,
    ) -> None:
        self._parameters, self._style, self._block, self._trace = parameters, style, block, trace
        self._gate_style = gate_style
        p, columns, lanes = parameters, parameters.columns, group_lanes(parameters)
        members: dict[str, Any] = {
            "jobs": In(stream.Signature(drain_job(p, trace))),
            "captured": In(1),
            "held": In(data.ArrayLayout(signed(p.accumulator_bits), p.rows * columns)),
            "constants": In(data.ArrayLayout(constant_word(), columns)),
            "drained": Out(Drained(p)),
            "operand_commands": Out(p.command_count_bits),
            "scale": In(ScaleWrite(p)),
            "maxima": Out(data.ArrayLayout(signed(p.logit_bits), p.score_slots * p.rows)),
            "table": In(TableWrite(1 << p.activation_bits)),
            "addends": In(stream.Signature(16 * lanes)),
            "output": Out(stream.Signature(output_word(p))),
            "output_left": Out(1),
            "reservations": In(Reservations(p)),
            "addend": Out(RowRead(memory_bits(p), words_of(16, lanes))),
            "rows": Out(RowWrite(p)),
            "operands": Out(OperandWrite(p)),
            "scores": Out(ScoreWrite(p)),
            "done": Out(1),
        }
        if p.planned:
            members["retired"] = In(stream.Signature(1))
        if p.experts:
            members |= {"queue": Out(QueueRead(p)), "logits": Out(RouterLogits(p))}
        if trace:
            members["trace"] = Out(trace_signature(p))
        super().__init__(members)
        without_reset(self.rows, "word")

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
        if not p.score_addends:
            self._scores(m, tags, [*result])
        streams, add = self._finish(m, tags, result)
        if p.score_addends:
            self._biased_scores(m, tags, add)
        self._progress(m, tags, streams.output_left)
        if self._trace:
            tag = tags[drain_write(p)]
            m.d.comb += [self.trace.valid.eq(Mux(tag.valid, tag.rows, 0)), self.trace.data.eq(self.rows.word)]
            m.d.comb += show(self.trace, tag.trace)
        return m

    # -- experts -----------------------------------------------------------------------------------------

    def _placed(self, m: Module, tag: Any) -> Any:
        """The tag of a row whose place and gate its queue entry tells."""
        entry = self.queue.entry
        placed: Any = Signal(tag.shape(), name="placed")
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
        tag = tags[drain_result(p) - GATE]
        m.submodules.gate = gate = GateRows(group_lanes(p), style=self._gate_style)
        job = control.job
        last = tags[drain_result(p)]
        m.d.comb += [
            gate.x.eq(result),
            gate.gate.eq(tag.gate),
            gate.shift.eq(tag.gate_shift),
            gate.weighs.eq(tag.combine),
            self.queue.address.eq(control.queue_address),
            self.logits.begin.eq(control.begins_route),
            *(self.logits.config[name].eq(job[name]) for name in route_config(p).members),
            self.logits.valid.eq(last.to.queues),
            self.logits.token_end.eq(last.token_end),
            self.logits.command_end.eq(last.end_command),
            self.logits.address.eq(last.address),
        ]
        m.d.comb += [
            self.logits.word[lane].eq(gate.result[lane][: p.logit_bits].as_signed())
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
        m.submodules.scales = scales = ContextScales(p)
        wiring.connect(m, wiring.flipped(self.scale), scales.write)
        m.d.comb += [scales.slot.eq(job.slot), scales.row.eq(row.index)]
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
        multipliers = [Mux(scores, fixed[:15], scales.multiplier[index]) for index in range(p.row_width)]
        shifts = [Mux(scores, fixed[15:], scales.shift[index]) for index in range(p.row_width)]
        for lane in range(lanes):
            index, column = divmod(lane, p.columns)
            constant = self.constants[column]
            m.d.comb += [
                requantize.bias[lane].eq(Mux(plain, constant.bias, 0)),
                requantize.multiplier[lane].eq(Mux(plain, constant.multiplier, multipliers[index])),
                requantize.shift[lane].eq(Mux(plain, constant.shift, shifts[index])),
            ]
        return requantize.result

    def _scores(self, m: Module, tags: dict[int, Any], logits: list[Value]) -> None:
        """Logits leave the pipeline as soon as they are saturated."""
        p = self._parameters
        m.submodules.scores = scores = DrainScores(p, trace=self._trace)
        wiring.connect(m, scores.write, wiring.flipped(self.scores))
        m.d.comb += [
            scores.tag.eq(tags[score_result(p)]),
            *(scores.result[lane].eq(logit) for lane, logit in enumerate(logits)),
            self.maxima.eq(scores.maxima),
            self.drained.scores.eq(tags[scores_drained(p)].end_scores),
        ]

    def _biased_scores(self, m: Module, tags: dict[int, Any], add: AddRows) -> None:
        """Logits are sums with addends, or with 0; the trace shows them as other results."""
        logits = logits_of(m, self._parameters, tags, add)
        self._scores(m, tags, logits)
        if self._trace:
            with m.If(tags[drain_write(self._parameters) - 1].scores):
                m.d.sync += [self.rows.word[lane].eq(logit) for lane, logit in enumerate(logits)]

    def _finish(self, m: Module, tags: dict[int, Any], result: Any) -> tuple[DrainStreams, AddRows]:
        """Table or addition, then the write."""
        p = self._parameters
        tag, last = tags[drain_result(p)], tags[drain_write(p) - 1]
        lanes = group_lanes(p)
        m.submodules.activation = activation = Activation(lanes, p.activation_bits, block=self._block)
        m.submodules.add = add = AddRows(lanes, GATED_BITS if p.experts else 16)
        m.submodules.streams = streams = DrainStreams(p)
        m.d.comb += [
            activation.bank.eq(tag.bank),
            *(activation.x[lane].eq(result[lane]) for lane in range(lanes)),
            self.addend.address.eq(tags[drain_result(p) - ADDEND_LEAD].addend_address),
            add.x.eq(result),
            add.addend.eq(Mux(tag.add, Mux(tag.stream, streams.addend, self.addend.data.as_value()), 0)),
            *streams.say(tag),
            self.output_left.eq(streams.output_left),
        ]
        self._leave(m, streams, tags[drain_write(p)])
        wiring.connect(m, wiring.flipped(self.table), activation.table)
        wiring.connect(m, wiring.flipped(self.reservations), streams.reservations)
        wiring.connect(m, wiring.flipped(self.addends), streams.addends)
        wiring.connect(m, streams.output, wiring.flipped(self.output))
        added = delay(m, add.result, ACTIVATION - ADD, name="added")
        with m.If(last.activation):
            for lane in range(lanes):
                m.d.sync += self.rows.word[lane].eq(activation.result[lane])
        with m.Else():
            m.d.sync += self.rows.word.eq(added)
        self._write(m, tags[drain_write(p)])
        return streams, add

    def _write(self, m: Module, tag: Any) -> None:
        """Results for the row memories, and their bytes for the key and value memories."""
        lanes = range(group_lanes(self._parameters))
        m.d.comb += [
            self.rows.features.eq(tag.to.features),
            self.rows.residual.eq(tag.to.residual),
            self.rows.address.eq(tag.address),
            self.rows.rows.eq(tag.rows),
            self.operands.keys.eq(tag.to.keys),
            self.operands.values.eq(tag.to.values),
            self.operands.address.eq(tag.address),
            self.operands.lane.eq(tag.lane),
            self.operands.rows.eq(tag.rows),
            self.operands.data.eq(Cat(self.rows.word[lane][:8] for lane in lanes)),
        ]

    def _leave(self, m: Module, streams: DrainStreams, tag: Any) -> None:
        """Results that go to external memory."""
        word, real, lanes = streams.output_word, self._real_rows(tag.rows), group_lanes(self._parameters)
        if not self._parameters.streamed:
            m.d.comb += [streams.put_output.eq(tag.to.output), word.data.eq(real)]
            return
        store = tag.to.keys | tag.to.values
        narrow = Cat(real.word_select(lane, 16)[:8] for lane in range(lanes))
        m.d.comb += [
            streams.put_output.eq(tag.to.output | store),
            word.data.eq(Mux(store, narrow, real)),
            word.store.eq(store),
            word.values.eq(tag.to.values),
            word.first.eq(tag.store_first),
            word.head_end.eq(tag.head_end),
        ]

    def _real_rows(self, rows: Value) -> Value:
        """The written words, zero where a group has no row."""
        if self._parameters.row_width == 1:
            return self.rows.word.as_value()
        size = 16 * self._parameters.columns
        words = [self.rows.word.as_value().word_select(index, size) for index in range(len(rows))]
        return Cat(Mux(rows[index], word, 0) for index, word in enumerate(words))

    def _progress(self, m: Module, tags: dict[int, Any], output_left: Value) -> None:
        """Tells LOAD and MULTIPLY what has drained."""
        p = self._parameters
        m.submodules.progress = progress = DrainProgress(p)
        early, written = tags[drain_write(p) - LOAD_LEAD], tags[drain_write(p)]
        m.d.comb += [
            progress.end_tile.eq(early.end_tile),
            progress.end_command.eq(early.end_command),
            progress.end_program.eq(written.end_program),
            progress.output_left.eq(output_left),
            self.drained.commands.eq(progress.drained_commands),
            self.drained.tiles.eq(progress.drained_tiles),
            self.operand_commands.eq(progress.operand_commands),
            self.done.eq(progress.done),
        ]
        if p.planned:
            wiring.connect(m, wiring.flipped(self.retired), progress.retired)
