# SPDX-License-Identifier: Apache-2.0
"""A task that leaves before a mixture of experts: its router there is nobody's, not everybody's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Graph, GraphBuilder, evaluate, live
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Target
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import IntegerLayerNorm, IntegerLinear, Select
from tests.support.experts import Made, Shape, make

ARRAY = ArrayShape(rows=4, columns=4, depth=8)


@pytest.fixture(scope="module")
def made() -> Made:
    return make(Shape(tasks=3))


def leaves_early(made: Made, early: int) -> Graph:
    """The model, but task `early` reads the residual stream as it was before the experts."""
    old = made.graph
    head = old.node(old.outputs[early])
    combine = next(node for node in old if node.name.endswith("combine"))
    norm = [node for node in old if isinstance(node.op, IntegerLayerNorm)][-1]
    builder = GraphBuilder(old.input, old.input_type)
    for node in old:
        inputs = node.inputs
        if node.name == head.name:
            rows = builder.add("early", Select(start=0, stop=head.type.shape[0]), [combine.inputs[0]])
            inputs = (builder.add("early_norm", norm.op, [rows]),)
        builder.add(node.name, node.op, inputs, node.source)
    graph = builder.finish(*old.outputs)
    return dataclasses.replace(graph, nodes=live(graph.nodes, graph.outputs))


@pytest.mark.parametrize("early", [0, 1, 2])
def test_the_others_are_routed_by_their_own_routers(made: Made, early: int) -> None:
    graph = leaves_early(made, early)
    found = lower(graph, ARRAY)
    routers = [command.tasks for command in found.program.commands if command.target is Target.QUEUES]
    assert routers == [1 << task for task in range(3) if task != early]
    machine = Interpreter(found.program.parameters, found.image.pack())
    for task in range(3):
        golden = dict(evaluate(graph, made.images[0], task))
        done = machine.run(found.program.input.pack(made.images[0], 4), task=task)
        assert compare(found.program, done.records, golden, task) is None
        layout = found.program.outputs[task]
        output = layout.unpack(done.output, found.program.parameters)
        np.testing.assert_array_equal(output, golden[layout.tensor])
        assert (sum(done.expert_tokens) == 0) == (task == early)


def test_logits_of_another_width_than_the_machine_s_are_refused(made: Made) -> None:
    """Attention has ten bits; a router of eight would read the gate table at the wrong place."""
    old = made.graph
    builder = GraphBuilder(old.input, old.input_type)
    for node in old:
        op = node.op
        if "router" in node.name and isinstance(op, IntegerLinear):
            op = dataclasses.replace(op, low=-128, high=127)
        if node.name.endswith("route"):
            op = dataclasses.replace(op, table=op.table[:256])  # type: ignore[attr-defined, call-arg]
        builder.add(node.name, op, node.inputs, node.source)
    with pytest.raises(UnsupportedModel, match=r"router.*: all logits must have 10 bits"):
        lower(builder.finish(*old.outputs), ARRAY)


def read_by_a_dead_router(made: Made) -> Graph:
    """The mixture twice: only task 1's router of the second one reads the first, and task 1 reads neither."""
    old = made.graph
    builder = GraphBuilder(old.input, old.input_type)
    names = [node.name for node in old]
    combine = next(name for name in names if name.endswith("combine"))
    norm = names[names.index(combine) - 9]
    first, last = (names.index(name) for name in (norm, combine))
    stream = old.nodes[last].inputs[0]
    again = {name: f"{name}_again" for name in names[first : last + 1]}
    for node in old.nodes[: last + 1]:
        builder.add(node.name, node.op, node.inputs, node.source)
    late = builder.add("late", old.node(norm).op, [combine])
    for node in old.nodes[first : last + 1]:
        inputs = [again.get(name, name) for name in node.inputs]
        if node.name.endswith("router_1"):
            inputs = [late]
        builder.add(again[node.name], node.op, inputs, node.source)
    for node in old.nodes[last + 1 :]:
        inputs = [again.get(name, name) for name in node.inputs]
        if node.name == old.node(old.outputs[1]).inputs[0]:
            rows = builder.add("early", Select(start=0, stop=node.type.shape[0]), [stream])
            inputs = [rows]
        builder.add(node.name, node.op, inputs, node.source)
    graph = builder.finish(*old.outputs)
    return dataclasses.replace(graph, nodes=live(graph.nodes, graph.outputs))


def test_a_mixture_that_no_task_needs_has_no_commands(made: Made) -> None:
    graph = read_by_a_dead_router(made)
    assert sum(node.name.endswith("route") or node.name.endswith("route_again") for node in graph) == 2
    found = lower(graph, ARRAY)
    routers = [command.tasks for command in found.program.commands if command.target is Target.QUEUES]
    assert routers == [1 << 0, 1 << 2]
    machine = Interpreter(found.program.parameters, found.image.pack())
    for task in range(3):
        done = machine.run(found.program.input.pack(made.images[0], 4), task=task)
        golden = dict(evaluate(graph, made.images[0], task))
        assert compare(found.program, done.records, golden, task) is None
