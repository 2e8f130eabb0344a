# SPDX-License-Identifier: Apache-2.0
"""Routing: from a router command's logits to the expert queues."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.experts.gates import RouteGates, RouteSums
from hlsgen.rtl.experts.queues import queue_entry
from hlsgen.rtl.experts.select import RouteSelect, logit_address_bits
from hlsgen.rtl.format.jobs import FIELD_BITS, memory_bits, router_words
from hlsgen.rtl.parts.memories import WordMemory, words_of
from hlsgen.rtl.parts.pipeline import address_bits, count_bits


def route_config(p: MachineParameters) -> data.StructLayout:
    """What a router command says."""
    names = ("experts", "choices", "gate_mode")
    return data.StructLayout({name: FIELD_BITS[name] for name in names} | {"route_stride": memory_bits(p)})


class Route(wiring.Component):
    """Keeps all logits of a router command, so that DRAIN never waits, and routes token by token.

    Three parts work on three tokens at a time: the best experts, their weights, their gates.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    begin : In(1), config : In
        A router command's first row is on its way.
    write : In(1), address, word : In
        C logits; the words of a token lie side by side.
    token_end, command_end : In(1)
        With `write`: the token's, the command's last word.
    table_write, table_address, table_data : In
        The gate table.
    append : Out(1), append_expert, append_entry : Out
    busy : Out(1)
        From `begin` until every token is in its queues.

    Latency
    -------
    About 2 E + 40 cycles from a token's last logit to its last entry.

    Throughput
    ----------
    A token in max(E + k + 8, k + 20) cycles, or a little less.
    """

    begin: Signal
    config: Any
    write: Signal
    address: Signal
    word: Any
    token_end: Signal
    command_end: Signal
    table_write: Signal
    table_address: Signal
    table_data: Signal
    append: Signal
    append_expert: Signal
    append_entry: Any
    busy: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "begin": In(1),
                "config": In(route_config(p)),
                "write": In(1),
                "address": In(logit_address_bits(p)),
                "word": In(words_of(p.logit_bits, p.columns)),
                "token_end": In(1),
                "command_end": In(1),
                "table_write": In(1),
                "table_address": In(p.logit_bits - 2),
                "table_data": In(64),
                "append": Out(1),
                "append_expert": Out(address_bits(p.experts)),
                "append_entry": Out(queue_entry(p)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        config = Signal(route_config(p), reset_less=True)
        with m.If(self.begin):
            m.d.sync += config.eq(self.config)
        m.submodules.select = select = RouteSelect(p)
        m.submodules.sums = sums = RouteSums(p)
        m.submodules.gates = gates = RouteGates(p)
        self._memory(m, select, sums)
        for part, names in (
            (select, ("experts",)),
            (sums, ("experts", "choices", "gate_mode")),
            (gates, ("choices", "gate_mode")),
        ):
            m.d.comb += [getattr(part, name).eq(getattr(config, name)) for name in names]
        m.d.comb += [
            select.clear.eq(self.begin),
            sums.valid.eq(select.valid),
            sums.best.eq(select.best),
            sums.address.eq(select.address),
            select.ready.eq(sums.ready),
            sums.table_write.eq(self.table_write),
            sums.table_address.eq(self.table_address),
            sums.table_data.eq(self.table_data),
            gates.valid.eq(sums.o_valid),
            gates.weighed.eq(sums.o),
            sums.o_ready.eq(gates.ready),
        ]
        self._tokens(m, select, gates, config)
        return m

    def _memory(self, m: Module, select: RouteSelect, sums: RouteSums) -> None:
        p = self._parameters
        layout = data.ArrayLayout(signed(p.logit_bits), p.columns)
        m.submodules.logits = logits = WordMemory(layout.size, p.queue_tokens * router_words(p), readers=2)
        m.d.comb += [
            logits.write.eq(self.write),
            logits.write_address.eq(self.address),
            logits.write_data.eq(self.word),
        ]
        for index, part in enumerate((select, sums)):
            m.d.comb += [
                logits.read_address[index].eq(part.read_address),
                part.word.as_value().eq(logits.read_data[index]),
            ]

    def _tokens(self, m: Module, select: RouteSelect, gates: RouteGates, config: Any) -> None:
        """Tokens that wait, those that are in no queue yet, and the row of the next one to be appended."""
        p = self._parameters
        waiting, left = Signal(count_bits(p.queue_tokens)), Signal(count_bits(p.queue_tokens))
        offset, more = Signal(memory_bits(p)), Signal()
        comes = self.write & self.token_end
        m.d.sync += [
            waiting.eq(waiting + comes - select.taken),
            left.eq(left + comes - gates.done),
        ]
        with m.If(self.write & self.command_end):
            m.d.sync += more.eq(0)
        m.d.comb += [
            select.available.eq(waiting != 0),
            self.busy.eq(more | (left != 0)),
            self.append.eq(gates.append),
            self.append_expert.eq(gates.expert),
            self.append_entry.offset.eq(offset),
            self.append_entry.gate.eq(gates.gate),
            self.append_entry.first.eq(gates.first),
        ]
        with m.If(gates.done):
            m.d.sync += offset.eq(offset + config.route_stride)
        with m.If(self.begin):
            m.d.sync += [more.eq(1), offset.eq(0)]
