# SPDX-License-Identifier: Apache-2.0
"""Which bound holds, and that no prediction is below it."""

from __future__ import annotations

from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.time.bounds import COMPUTE, MEMORY, Bound, bound_of, least_cycles
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.plan import Routing, make_plan
from tests.support.experts import Shape, make


def test_the_larger_one_holds() -> None:
    assert (Bound(100, 1600, 16).kind, Bound(100, 1600, 16).cycles) == (COMPUTE, 100)
    assert (Bound(100, 1616, 16).kind, Bound(100, 1616, 16).cycles) == (MEMORY, 101)


def test_experts_have_a_bound_of_their_own() -> None:
    made = make(Shape(experts=4, k=2, tasks=1, blocks=2))
    lowered = lower(made.graph, ArrayShape(rows=4, columns=4, depth=8, bus_bytes=4))
    routing = Routing(loads=((10, 0, 0, 10), (5, 5, 5, 5)))
    commands = [command for _, command in make_plan(lowered.program, lowered.image, routing).commands]
    least = least_cycles(commands, lowered.program)
    experts = [command for command in commands if command.expert]
    others = [command for command in commands if not command.expert]
    assert len(experts) == 2 * (2 + 4)
    assert bound_of(experts, lowered.program).kind == MEMORY
    assert least >= bound_of(experts, lowered.program).cycles
    assert least >= bound_of(others, lowered.program).cycles
    assert bound_of(commands, lowered.program).cycles <= least
    assert least < predict(lowered.program, lowered.image, routing=routing).cycles
