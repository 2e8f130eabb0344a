# SPDX-License-Identifier: Apache-2.0
"""Commands to jobs."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Product
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.format.command import COMMAND_BITS, narrowed
from hlsgen.rtl.format.jobs import drain_job, fill_job, key_job, load_job, multiply_job
from hlsgen.rtl.format.widths import block_bits, width_bits
from hlsgen.rtl.parts.pipeline import register
from hlsgen.rtl.sequence.fill import Place, Settled, fill_drain, fill_keys, fill_load, fill_multiply, settle
from hlsgen.rtl.sequence.walk import Ends, Position, Walk


def _attends(p: MachineParameters, command: Any) -> Value:
    """Whether the command's jobs are scores and contexts."""
    attention = command.product == Product.ATTENTION
    return attention | (command.product == Product.MAPS) if p.taps else attention


class _Job:
    """Registers of the job that is picked, and of how far the command is."""

    def __init__(self, p: MachineParameters) -> None:
        self.kind = Signal(2, name="kind")
        self.blocks = Signal(block_bits(p), name="blocks")
        self.last_tile, self.last_outer = Signal(name="last_tile"), Signal(name="last_outer")
        self.closes, self.fresh = Signal(name="closes"), Signal(name="fresh")
        self.scores_done = Signal(name="scores_done")
        self.ahead = Signal(2, name="ahead")
        """Score jobs handed on minus context jobs."""

    @property
    def is_context(self) -> Value:
        return self.kind == Kind.CONTEXT

    @property
    def ended(self) -> Value:
        return self.last_tile & self.last_outer


# A command of two jobs; nothing is in the way:
#
#   cycle                  0      1     2      3     4      5      6
#   state                  start  pick  push   pick  push   start  pick
#   job (registers)                     0            1
#   walk's place                  0     0      1     1
#   load, multiply, drain               job 0        job 1
#   commands.ready                                   1
#
# `room` in push is what the three queues' `ready` was a cycle before; without it push repeats.


class Sequencer(wiring.Component):
    """Expands commands to jobs and hands every job to all three stages at once.

    Attention walks twice: the context jobs follow one job behind the score jobs. Of a plain command the
    second walk tells only where a sweep's results begin.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Jobs carry what the trace needs.

    Members
    -------
    commands : In(stream of 1024 bits)
        A command is taken when its last job is handed on.
    number : In(16)
        The command's number in the program; only where commands may be skipped.
    load, multiply, drain : Out(stream of jobs)
    keys : Out(stream of key_job)
        Jobs whose tiles have keys of their own, handed on with the others; only in machines with key lists.
    fill : Out(stream)
        Attention commands, for the reader of keys and values; only where attention is streamed.

    Latency
    -------
    2 cycles from a command to its first job.

    Throughput
    ----------
    A job every 2 cycles, 1 more between commands.
    """

    commands: stream.Interface
    load: stream.Interface
    multiply: stream.Interface
    drain: stream.Interface
    keys: stream.Interface
    fill: stream.Interface
    number: Signal

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        self._parameters, self._trace = parameters, trace
        super().__init__(
            {
                "commands": In(stream.Signature(COMMAND_BITS)),
                "load": Out(stream.Signature(load_job(parameters, trace))),
                "multiply": Out(stream.Signature(multiply_job(parameters))),
                "drain": Out(stream.Signature(drain_job(parameters, trace))),
                **({"number": In(16)} if parameters.planned else {}),
                **({"keys": Out(stream.Signature(key_job(parameters)))} if parameters.key_list_words else {}),
                **({"fill": Out(stream.Signature(fill_job(parameters)))} if parameters.streamed else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        command = narrowed(p, self.commands.payload)
        attention = _attends(p, command)
        main, context = (
            Walk("main", p, self._trace, "shared"),
            Walk("context", p, self._trace, "shared_values"),
        )
        job, handed = _Job(p), Signal()
        number = self.number if p.planned else Signal(16)
        # Nobody else fills the queues: what had room while the job was picked has it still.
        room = Signal()
        m.d.sync += room.eq(self._ready())
        with m.FSM():
            with m.State("start"):
                source, target = self._begins(command)
                m.d.sync += [
                    *main.start(source, self._main_base(command)),
                    *context.start(target, command.value_base),
                ]
                m.d.sync += [job.fresh.eq(1), job.scores_done.eq(0), job.ahead.eq(0)]
                with m.If(self.commands.valid & self._filling(m, command, attention)):
                    m.next = "pick"
            with m.State("pick"):
                self._pick(m, p.score_slots, command, attention, job, main, context)
                m.next = "push"
            with m.State("push"), m.If(room):
                m.d.comb += handed.eq(1)
                m.next = "pick"
                self._advance(m, command, attention, job, main, context)
                with m.If(job.ended & (job.kind != Kind.SCORES)):
                    m.d.comb += self.commands.ready.eq(1)
                    if not p.planned:
                        m.d.sync += number.eq(number + 1)
                    m.next = "start"
        m.d.comb += [port.valid.eq(handed) for port in (self.load, self.multiply, self.drain)]
        at = main.at.unless(job.is_context, context.at)
        self._fill_jobs(m, command, number, job, at, context.at.memory)
        return m

    def _ready(self) -> Value:
        """Whether all queues take a job."""
        ready = self.load.ready & self.multiply.ready & self.drain.ready
        return ready & self.keys.ready if self._parameters.key_list_words else ready

    def _begins(self, command: Any) -> tuple[Value, Value]:
        """Where LOAD reads and where DRAIN writes first, in a bank."""
        bank = width_bits(self._parameters)
        source, target = command.source[bank:], command.target_base[bank:]
        if not self._parameters.operand_bases:
            return source, target
        return source + command.source_word, target + command.target_word

    def _main_base(self, command: Any) -> Value:
        """Where the keys, or values, of the main walk's jobs begin."""
        base = command.key_base
        if self._parameters.key_list_words:
            base = Mux(command.key_runs == 0, base, 0)
        if not self._parameters.products:
            return base
        return Mux(command.product == Product.VALUES, command.value_base, base)

    @staticmethod
    def _pick(
        m: Module, slots: int, command: Any, attention: Value, job: _Job, main: Walk, context: Walk
    ) -> None:
        """Which walk the next job is of, and what it ends."""
        next_is_context = attention & (job.scores_done | (job.ahead == slots))
        one_more = ~attention & (main.at.outer < command.extra)
        # Both walks look whether they are at their last; then one of them is picked.
        outers = Mux(attention, command.heads, command.sweeps)
        ends = [
            Cat(
                at.tile + 1 == command.tiles,
                at.reading_tile + 1 == command.span,
                at.outer + 1 == outers,
            )
            for at in (main.at, context.at)
        ]
        last_tile, last_pass, last_outer = Mux(next_is_context, ends[1], ends[0])
        m.d.sync += [
            job.kind.eq(Mux(attention, Mux(next_is_context, Kind.CONTEXT, Kind.SCORES), Kind.PLAIN)),
            job.last_tile.eq(last_tile),
            job.closes.eq(last_tile | last_pass),
            job.last_outer.eq(last_outer),
            job.blocks.eq(Mux(next_is_context, command.head_words, command.blocks + one_more)),
        ]

    def _advance(
        self, m: Module, command: Any, attention: Value, job: _Job, main: Walk, context: Walk
    ) -> None:
        """The job is handed on: its walk goes on to the next one."""
        p = self._parameters
        stride: Value = command.head_stride
        if p.products:
            stride = Mux(command.product == Product.VALUES, command.value_stride, stride)
        m.d.sync += [
            job.fresh.eq(0),
            job.ahead.eq(Mux(job.is_context, job.ahead - 1, job.ahead + 1)),
        ]
        ends = Ends(job.last_tile, job.closes)
        source, target = self._outer(command, attention)
        with m.If(job.is_context):
            context.advance(m, ends, target, command.value_stride, C(0), command.shared_values)
        with m.Else():
            main.advance(m, ends, source, stride, job.blocks, command.shared)
            m.d.sync += job.scores_done.eq(job.ended)
            if p.field_bits["outer_target"]:
                with m.If(job.last_tile & ~attention):
                    context.step(m, command.outer_target[width_bits(p) :])

    def _outer(self, command: Any, attention: Value) -> tuple[Value, Value]:
        """Words from a sweep's or head's operands to the next one's; from a head's contexts to the next's.

        Windows have rows of their own: there it is words of a bank, not of a row.
        """
        p = self._parameters
        if not p.windows:
            return command.outer_source, command.head_words
        rows, banks = command.outer_target != 0, width_bits(p)
        source = Mux(attention & rows, command.outer_source[banks:], command.outer_source)
        return source, Mux(rows, command.outer_target[banks:], command.head_words)

    def _fill_jobs(
        self, m: Module, command: Any, number: Value, job: _Job, at: Position, target: Value
    ) -> None:
        """The job's fields, for all three stages."""
        settled = Settled(
            *(
                register(m, value, name=name)
                for name, value in settle(command, self._parameters)._asdict().items()
            )
        )
        place = Place(
            parameters=self._parameters, command=command, number=number, kind=job.kind, blocks=job.blocks,
            fresh=job.fresh, last_tile=job.last_tile, last_outer=job.last_outer, closes=job.closes, at=at,
            target=target, settled=settled,
        )  # fmt: skip
        m.d.comb += fill_load(self.load.payload, place, trace=self._trace)
        m.d.comb += fill_multiply(self.multiply.payload, place)
        if self._parameters.key_list_words:
            m.d.comb += [self.keys.valid.eq(self.multiply.valid & place.listed)]
            m.d.comb += fill_keys(self.keys.payload, place)
        m.d.comb += fill_drain(self.drain.payload, place, trace=self._trace)

    def _filling(self, m: Module, command: Any, attention: Value) -> Value:
        """Hands an attention command to the reader of keys and values; whether the walk may begin."""
        if not self._parameters.streamed:
            return C(1, 1)
        fill = self.fill
        names = fill_job(self._parameters).members
        m.d.comb += [
            fill.valid.eq(self.commands.valid & attention),
            *(fill.payload[name].eq(command[name]) for name in names),
        ]
        return ~attention | fill.ready
