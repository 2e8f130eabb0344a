# SPDX-License-Identifier: Apache-2.0
"""Routing: from a router command's logits to the expert queues."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.experts.gates import RouteGates, RouteSums
from hlsgen.rtl.experts.select import RouteSelect
from hlsgen.rtl.format.experts import (
    QueueAppend,
    QueueAppendPorts,
    RouterLogits,
    RouterLogitsPorts,
    route_config,
)
from hlsgen.rtl.format.widths import memory_bits, router_words
from hlsgen.rtl.parts.memories import TableWrite, TableWritePorts, WordMemory
from hlsgen.rtl.parts.pipeline import count_bits

# Three tokens on their way, one in each part; times are those of `select` and `gates`:
#
#   logits.valid and token_end   t
#   waiting != 0                 t+1      select takes the token, E / pace + 5 cycles to its list
#   select.o                              sums takes the list, k + 7 cycles to its weights
#   sums.o                                gates takes them, 16 cycles to the first append, k - 1 to `done`
#   gates.done                            `left` falls; the next token's row is `route_stride` further


class Route(wiring.Component):
    """Keeps all logits of a router command, so that DRAIN never waits, and routes token by token.

    Three parts work on three tokens at a time: the best experts, their weights, their gates.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    logits : In(RouterLogits)
    table : In(TableWrite)
        The gate table.
    append : Out(QueueAppend)
    busy : Out(1)
        From `logits.begin` until every token is in its queues.

    Latency
    -------
    About 2 E + 40 cycles from a token's last logit to its last entry.

    Throughput
    ----------
    A token in max(E + k + 8, k + 20) cycles, or a little less.
    """

    logits: RouterLogitsPorts
    table: TableWritePorts
    append: QueueAppendPorts
    busy: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "logits": In(RouterLogits(p)),
                "table": In(TableWrite(1 << p.logit_bits)),
                "append": Out(QueueAppend(p)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        config = Signal(route_config(p), reset_less=True)
        with m.If(self.logits.begin):
            m.d.sync += config.eq(self.logits.config)
        m.submodules.select = select = RouteSelect(p)
        m.submodules.sums = sums = RouteSums(p)
        m.submodules.gates = gates = RouteGates(p)
        self._memory(m, select, sums)
        wiring.connect(m, wiring.flipped(self.table), sums.table)
        wiring.connect(m, select.o, sums.i)
        wiring.connect(m, sums.o, gates.i)
        m.d.comb += [
            select.experts.eq(config.experts),
            sums.experts.eq(config.experts),
            sums.choices.eq(config.choices),
            sums.gate_mode.eq(config.gate_mode),
            gates.choices.eq(config.choices),
            gates.gate_mode.eq(config.gate_mode),
            select.clear.eq(self.logits.begin),
        ]
        self._tokens(m, select, gates, config)
        return m

    def _memory(self, m: Module, select: RouteSelect, sums: RouteSums) -> None:
        p = self._parameters
        layout = data.ArrayLayout(signed(p.logit_bits), p.columns)
        m.submodules.logits = logits = WordMemory(layout.size, p.queue_tokens * router_words(p), readers=2)
        m.d.comb += [
            logits.write.eq(self.logits.valid),
            logits.write_address.eq(self.logits.address),
            logits.write_data.eq(self.logits.word),
        ]
        for index, part in enumerate((select, sums)):
            m.d.comb += [
                logits.read_address[index].eq(part.read.address),
                part.read.word.as_value().eq(logits.read_data[index]),
            ]

    def _tokens(self, m: Module, select: RouteSelect, gates: RouteGates, config: Any) -> None:
        """Tokens that wait, those that are in no queue yet, and the row of the next one to be appended."""
        p = self._parameters
        waiting, left = Signal(count_bits(p.queue_tokens)), Signal(count_bits(p.queue_tokens))
        offset, more = Signal(memory_bits(p)), Signal()
        comes = self.logits.valid & self.logits.token_end
        m.d.sync += [
            waiting.eq(waiting + comes - select.taken),
            left.eq(left + comes - gates.done),
        ]
        with m.If(self.logits.valid & self.logits.command_end):
            m.d.sync += more.eq(0)
        m.d.comb += [
            select.available.eq(waiting != 0),
            self.busy.eq(more | (left != 0)),
            self.append.valid.eq(gates.append),
            self.append.expert.eq(gates.expert),
            self.append.entry.offset.eq(offset),
            self.append.entry.gate.eq(gates.gate),
            self.append.entry.first.eq(gates.first),
        ]
        with m.If(gates.done):
            m.d.sync += offset.eq(offset + config.route_stride)
        with m.If(self.logits.begin):
            m.d.sync += [more.eq(1), offset.eq(0)]
