# SPDX-License-Identifier: Apache-2.0
"""What the host may read of each expert: its tokens, and how long the array waited for it."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.experts import (
    COUNTER_BITS,
    ExpertCounts,
    ExpertCountsPorts,
    ExpertEventPorts,
    ExpertEvents,
    ExpertEventsPorts,
)


class ExpertCounters(wiring.Component):
    """Two counters for each expert, in distributed memories: they outlive the core's reset.

    A flag beside every counter says whether it has counted anything since `clear`, so that clearing takes
    one cycle whatever the number of experts.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    clear : In(1)
        An image begins.
    events : In(ExpertEvents)
    counts : In(ExpertCounts)

    Latency
    -------
    A counter shows an event in the next cycle.

    Throughput
    ----------
    One token and one wait a cycle.
    """

    clear: Signal
    events: ExpertEventsPorts
    counts: ExpertCountsPorts

    def __init__(self, parameters: MachineParameters) -> None:
        self._experts = parameters.experts
        super().__init__(
            {
                "clear": In(1),
                "events": In(ExpertEvents(parameters)),
                "counts": In(ExpertCounts(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        self._counter(m, "token", self.events.token, self.counts.tokens)
        self._counter(m, "wait", self.events.wait, self.counts.waits)
        return m

    def _counter(self, m: Module, name: str, event: ExpertEventPorts, shown: Signal) -> None:
        memory = Memory(shape=COUNTER_BITS, depth=max(2, self._experts), init=[])
        m.submodules[f"{name}_counters"] = memory
        counted = Signal(max(2, self._experts), name=f"{name}_counted")
        who, asks = event.expert, self.counts.expert
        write, before, asked = memory.write_port(), *(memory.read_port(domain="comb") for _ in range(2))
        m.d.comb += [
            before.addr.eq(who),
            write.addr.eq(who),
            write.en.eq(event.valid),
            write.data.eq(Mux(counted.bit_select(who, 1), before.data, 0) + 1),
            asked.addr.eq(asks),
            shown.eq(Mux(counted.bit_select(asks, 1), asked.data, 0)),
        ]
        with m.If(event.valid):
            m.d.sync += counted.bit_select(who, 1).eq(1)
        with m.If(self.clear):
            m.d.sync += counted.eq(0)
