# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.experts.counters import ExpertCounters


@pytest.mark.parametrize("experts", [1, 2, 5, 64])
def test_counts_every_event_and_forgets_at_once(experts: int) -> None:
    parameters = MachineParameters(rows=1, columns=1, depth=1, experts=experts, choices=1, queue_tokens=4)
    counters, random = ExpertCounters(parameters), Random(experts)

    async def bench(context: Any) -> None:
        wanted = {"token": [0] * experts, "wait": [0] * experts}
        for cycle in range(600):
            clear = cycle % 200 == 199
            context.set(counters.clear, clear)
            for port, counts in zip(
                (counters.events.token, counters.events.wait), wanted.values(), strict=True
            ):
                who, event = random.randrange(experts), random.random() < 0.8
                context.set(port.valid, event)
                context.set(port.expert, who)
                counts[who] += event
            await context.tick()
            if clear:
                wanted = {name: [0] * experts for name in wanted}
            asked = random.randrange(experts)
            context.set(counters.counts.expert, asked)
            assert context.get(counters.counts.tokens) == wanted["token"][asked]
            assert context.get(counters.counts.waits) == wanted["wait"][asked]

    simulator = Simulator(counters)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
