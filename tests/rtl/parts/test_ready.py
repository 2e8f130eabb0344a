# SPDX-License-Identifier: Apache-2.0
"""The stage with a registered `ready`: order, full speed, and what a path through it may not do."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hlsgen.rtl.parts.ready import ReadyStage

WORDS = 200


def transfer(idle: float, stall: float) -> tuple[list[int], list[int], int]:
    """Words sent and received, and cycles; `ready` must not move within a cycle as the sink's does."""
    stage, random = ReadyStage(16), Random(f"{idle} {stall}")
    sent = [random.getrandbits(16) for _ in range(WORDS)]
    received: list[int] = []
    cycles = 0

    async def run(ctx: Any) -> None:
        nonlocal cycles
        waiting, offered = list(sent), False
        while len(received) < WORDS:
            offered = offered or (bool(waiting) and random.random() >= idle)
            ctx.set(stage.i.valid, offered)
            ctx.set(stage.i.payload, waiting[0] if offered else random.getrandbits(16))
            ready = []
            for takes in (0, 1):
                ctx.set(stage.o.ready, takes)
                ready.append(ctx.get(stage.i.ready))
            assert ready[0] == ready[1]
            takes = random.random() >= stall
            ctx.set(stage.o.ready, takes)
            if takes and ctx.get(stage.o.valid):
                received.append(ctx.get(stage.o.payload))
            if offered and ready[0]:
                waiting.pop(0)
                offered = False
            cycles += 1
            await ctx.tick()

    simulator = Simulator(stage)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    return sent, received, cycles


@pytest.mark.parametrize("idle", [0.0, 0.4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_words_in_order_and_one_a_cycle(idle: float, stall: float) -> None:
    sent, received, cycles = transfer(idle, stall)
    assert received == sent
    if not idle and not stall:
        assert cycles == WORDS
