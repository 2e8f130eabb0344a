# SPDX-License-Identifier: Apache-2.0
"""Commands to jobs."""

from __future__ import annotations

from typing import Any

from amaranth import C, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.commands import Product
from hlsgen.machine.format.interface import Kind
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import (
    COMMAND_BITS,
    block_bits,
    drain_bits,
    drain_job,
    field,
    fill_job,
    load_job,
    memory_bits,
    multiply_job,
    narrowed,
    operand_bits,
    width_bits,
)
from hlsgen.rtl.parts.pipeline import register
from hlsgen.rtl.sequence.fill import Place, fill_drain, fill_load, fill_multiply, settle

_WALKED = ("tile", "outer", "first_outer", "slot", "memory", "operand", "token", "block", "opens")


class _Position:
    """Registers of one walk through a command: outer (group or head), tile, and what runs along."""

    def __init__(self, name: str, p: MachineParameters, trace: bool) -> None:
        self.tile = Signal(field(p, "tiles"), name=f"{name}_tile")
        self.outer = Signal(field(p, "groups", "heads"), name=f"{name}_outer")
        self.first_outer = Signal(name=f"{name}_first_outer", init=1)
        self.slot = Signal(name=f"{name}_slot")
        self.memory = Signal(max(memory_bits(p), drain_bits(p)), name=f"{name}_memory")
        self.operand = Signal(operand_bits(p), name=f"{name}_operand")
        self.block = Signal(16, name=f"{name}_block")
        self.token = Signal(16, name=f"{name}_token")
        self.opens = Signal(name=f"{name}_opens")
        self.pass_tile = Signal(field(p, "span"), name=f"{name}_pass_tile")
        self._trace, self._rows, self._streamed = trace, p.rows, p.streamed
        self._counts_tokens = trace or p.experts > 0

    def start(self, memory: Value) -> list[Any]:
        """Statements: to the command's first job."""
        zeros = (self.tile, self.outer, self.slot, self.operand, self.block, self.token)
        ones = (self.first_outer, self.opens)
        return [
            *(signal.eq(0) for signal in (*zeros, self.pass_tile)),
            *(signal.eq(1) for signal in ones),
            self.memory.eq(memory),
        ]

    def advance(
        self, m: Module, last_tile: Value, closes: Value, memory: Value, operand: Value, blocks: Value
    ) -> None:
        """To the next job: tiles inner. `closes`: the next one uses the next reading of keys and values."""
        if self._streamed:
            m.d.sync += [self.opens.eq(closes), self.pass_tile.eq(Mux(closes, 0, self.pass_tile + 1))]
            with m.If(closes):  # the two heads in the memories take turns
                m.d.sync += self.operand.eq(Mux(self.operand == 0, operand, 0))
        m.d.sync += self.slot.eq(~self.slot)
        with m.If(last_tile):
            m.d.sync += [
                self.tile.eq(0),
                self.outer.eq(self.outer + 1),
                self.first_outer.eq(0),
                self.memory.eq(self.memory + memory),
            ]
            if not self._streamed:
                m.d.sync += self.operand.eq(self.operand + operand)
            if self._counts_tokens:
                m.d.sync += self.token.eq(0)
            if self._trace:
                m.d.sync += self.block.eq(self.block + blocks)
        with m.Else():
            m.d.sync += self.tile.eq(self.tile + 1)
            if self._counts_tokens:
                m.d.sync += self.token.eq(self.token + self._rows)


class Sequencer(wiring.Component):
    """Expands commands to jobs and hands every job to all three stages at once.

    Attention walks twice: the context jobs follow one job behind the score jobs.

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
                **({"fill": Out(stream.Signature(fill_job(parameters)))} if parameters.streamed else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        command = narrowed(self._parameters, self.commands.payload)
        attention = command.product == Product.ATTENTION
        main, context = (_Position(name, self._parameters, self._trace) for name in ("main", "context"))
        scores_done, ahead, handed = Signal(), Signal(2), Signal()
        kind, fresh = Signal(2), Signal()
        number = self.number if self._parameters.planned else Signal(16)
        last_tile, last_outer, closes = Signal(), Signal(), Signal()
        blocks = Signal(block_bits(self._parameters))
        next_is_context = attention & (scores_done | (ahead == 2))
        is_context, ended = kind == Kind.CONTEXT, last_tile & last_outer
        # Nobody else fills the queues: what had room while the job was picked has it still.
        room = Signal()
        m.d.sync += room.eq(self.load.ready & self.multiply.ready & self.drain.ready)
        with m.FSM():
            with m.State("start"):
                begin = width_bits(self._parameters)
                m.d.sync += [
                    *main.start(command.source[begin:]),
                    *context.start(command.target_base[begin:]),
                ]
                m.d.sync += [fresh.eq(1), scores_done.eq(0), ahead.eq(0)]
                with m.If(self.commands.valid & self._filling(m, command, attention)):
                    m.next = "pick"
            with m.State("pick"):
                tile, outer, pass_tile = (
                    Mux(next_is_context, *(getattr(at, name) for at in (context, main)))
                    for name in ("tile", "outer", "pass_tile")
                )
                one_more = ~attention & (outer < command.extra)
                m.d.sync += [
                    kind.eq(Mux(attention, Mux(next_is_context, Kind.CONTEXT, Kind.SCORES), Kind.PLAIN)),
                    last_tile.eq(tile + 1 == command.tiles),
                    closes.eq((tile + 1 == command.tiles) | (pass_tile + 1 == command.span)),
                    last_outer.eq(outer + 1 == Mux(attention, command.heads, command.groups)),
                    blocks.eq(Mux(next_is_context, command.head_words, command.blocks + one_more)),
                ]
                m.next = "push"
            with m.State("push"), m.If(room):
                m.d.comb += handed.eq(1)
                m.d.sync += [fresh.eq(0), ahead.eq(Mux(is_context, ahead - 1, ahead + 1))]
                m.next = "pick"
                with m.If(is_context):
                    context.advance(m, last_tile, closes, command.head_words, command.value_stride, C(0))
                with m.Else():
                    main.advance(m, last_tile, closes, command.head_words, command.head_stride, blocks)
                    m.d.sync += scores_done.eq(ended)
                with m.If(ended & (kind != Kind.SCORES)):
                    m.d.comb += self.commands.ready.eq(1)
                    if not self._parameters.planned:
                        m.d.sync += number.eq(number + 1)
                    m.next = "start"
        settled = {
            name: register(m, value, name=name) for name, value in settle(command, self._parameters).items()
        }
        walked = {name: Mux(is_context, *(getattr(at, name) for at in (context, main))) for name in _WALKED}
        place = Place(
            parameters=self._parameters, command=command, number=number, kind=kind, blocks=blocks,
            fresh=fresh, last_tile=last_tile, last_outer=last_outer, closes=closes, **walked, **settled,
        )  # fmt: skip
        m.d.comb += [port.valid.eq(handed) for port in (self.load, self.multiply, self.drain)]
        m.d.comb += fill_load(self.load.payload, place, trace=self._trace)
        m.d.comb += fill_multiply(self.multiply.payload, place)
        m.d.comb += fill_drain(self.drain.payload, place, trace=self._trace)
        return m

    def _filling(self, m: Module, command: Any, attention: Value) -> Value:
        """Hands an attention command to the reader of keys and values; whether the walk may begin."""
        if not self._parameters.streamed:
            return C(1, 1)
        fill = self.fill
        names = fill_job(self._parameters).members
        m.d.comb += [
            fill.valid.eq(self.commands.valid & attention),
            *(getattr(fill.payload, name).eq(getattr(command, name)) for name in names),
        ]
        return ~attention | fill.ready
