# SPDX-License-Identifier: Apache-2.0
"""What the host may read of each expert: its tokens, and how long the array waited for it."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.parts.pipeline import address_bits

EVENTS = ("token", "wait")
COUNTER_BITS = 32


def event_members(p: MachineParameters) -> dict[str, Any]:
    """The core's ports of what is counted: an event, and whose it is."""
    bits = address_bits(p.experts)
    members: dict[str, Any] = {f"expert_{name}": Out(1) for name in EVENTS}
    return members | {f"expert_{name}_of": Out(bits) for name in EVENTS}


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
    token, wait : In(1), token_of, wait_of : In
        A token went to this expert's queue; MULTIPLY had a job of this expert and issued no step.
    expert : In
        Whose counters are asked for.
    tokens, waits : Out(32)
        In the same cycle.

    Latency
    -------
    A counter shows an event in the next cycle.

    Throughput
    ----------
    One token and one wait a cycle.
    """

    clear: Signal
    token: Signal
    token_of: Signal
    wait: Signal
    wait_of: Signal
    expert: Signal
    tokens: Signal
    waits: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        self._experts = parameters.experts
        bits = address_bits(parameters.experts)
        super().__init__(
            {
                "clear": In(1),
                **{name: In(1) for name in EVENTS},
                **{f"{name}_of": In(bits) for name in EVENTS},
                "expert": In(bits),
                **{f"{name}s": Out(COUNTER_BITS) for name in EVENTS},
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        for name in EVENTS:
            self._counter(m, name)
        return m

    def _counter(self, m: Module, name: str) -> None:
        memory = Memory(shape=COUNTER_BITS, depth=max(2, self._experts), init=[])
        m.submodules[f"{name}_counters"] = memory
        counted = Signal(max(2, self._experts), name=f"{name}_counted")
        who, event, shown = getattr(self, f"{name}_of"), getattr(self, name), getattr(self, f"{name}s")
        write, before, asked = memory.write_port(), *(memory.read_port(domain="comb") for _ in range(2))
        m.d.comb += [
            before.addr.eq(who),
            write.addr.eq(who),
            write.en.eq(event),
            write.data.eq(Mux(counted.bit_select(who, 1), before.data, 0) + 1),
            asked.addr.eq(self.expert),
            shown.eq(Mux(counted.bit_select(self.expert, 1), asked.data, 0)),
        ]
        with m.If(event):
            m.d.sync += counted.bit_select(who, 1).eq(1)
        with m.If(self.clear):
            m.d.sync += counted.eq(0)
