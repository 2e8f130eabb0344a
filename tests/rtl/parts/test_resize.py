# SPDX-License-Identifier: Apache-2.0
"""Width converters against Python's integers: every ratio, full speed and stalled."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator

from hlsgen.rtl.parts.resize import Resize

WORDS = 40


def transfer(source: int, sink: int, stall: float, apart: bool = False) -> tuple[list[int], list[int], int]:
    """Words sent, words received, and cycles from the first to the last one received."""
    component, random = Resize(source, sink, apart=apart), Random(source * 1000 + sink)
    ratio = max(1, sink // source)
    sent = [random.getrandbits(source) for _ in range(WORDS * ratio)]
    expected = WORDS * max(1, source // sink)
    received: list[int] = []
    cycles: list[int] = []

    async def send(ctx: Any) -> None:
        for word in sent:
            while random.random() < stall:
                await ctx.tick()
            ctx.set(component.i.payload, word)
            ctx.set(component.i.valid, 1)
            await ctx.tick().until(component.i.ready)
            ctx.set(component.i.valid, 0)

    async def receive(ctx: Any) -> None:
        cycle = 0
        while len(received) < expected:
            ctx.set(component.o.ready, random.random() >= stall)
            _, _, valid, ready, payload = await ctx.tick().sample(
                component.o.valid, component.o.ready, component.o.payload
            )
            cycle += 1
            if valid and ready:
                received.append(payload)
                cycles.append(cycle)

    top = Module()
    top.domains.sync = ClockDomain()  # equal widths need no clock, the bench does
    top.submodules.resize = component
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run_until(1e-6 * 100 * (len(sent) + expected))
    return sent, received, cycles[-1] - cycles[0]


def joined(words: list[int], bits: int) -> int:
    return sum(word << bits * index for index, word in enumerate(words))


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("ratio", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("widen", [True, False])
def test_low_part_first(widen: bool, ratio: int, stall: float) -> None:
    source, sink = (8, 8 * ratio) if widen else (8 * ratio, 8)
    sent, received, cycles = transfer(source, sink, stall)
    assert joined(received, sink) == joined(sent, source)
    if not stall:  # one narrow word a cycle, no gap
        step = ratio if widen else 1
        assert cycles == (len(received) - 1) * step


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("ratio", [2, 8])
def test_a_cycle_apart(ratio: int, stall: float) -> None:
    sent, received, cycles = transfer(8, 8 * ratio, stall, apart=True)
    assert joined(received, 8 * ratio) == joined(sent, 8)
    if not stall:
        assert cycles == (len(received) - 1) * (ratio + 1)
