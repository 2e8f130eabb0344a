# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts whose router, or whose experts, read something else than a norm of the stream."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.experts import WIDTH, Made, Shape, make
from support.lowered import interpreted, watched

from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Graph, GraphBuilder, live
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import IntegerExpertLinear, IntegerLinear, IntegerRoute

ARRAY = ArrayShape(rows=4, columns=4, depth=8)
RANDOM = np.random.default_rng(1)


@pytest.fixture(scope="module")
def made() -> Made:
    return make(Shape(tasks=1))


def layer(size: int, width: int) -> IntegerLinear:
    return IntegerLinear(
        weight=RANDOM.integers(-99, 99, (size, width)), bias=np.zeros(size, np.int64),
        multiplier=np.full(size, 1 << 14), shift=np.full(size, 22), low=-128, high=127, scale=1.0,
    )  # fmt: skip


def other(made: Made, *, router: bool) -> Graph:
    """The model, but routers, or experts, read a linear layer: a wider one the routers."""
    old = made.graph
    builder = GraphBuilder(old.input, old.input_type)
    routers = {node.inputs[0] for node in old if isinstance(node.op, IntegerRoute)}
    for node in old:
        op, inputs, experts = node.op, node.inputs, isinstance(node.op, IntegerExpertLinear)
        width = builder.type_of(inputs[0]).shape[-1]
        first = experts and width == WIDTH
        if router and node.name in routers and isinstance(op, IntegerLinear):
            inputs = (builder.add("wide", layer(3 * width, width), inputs),)
            op = dataclasses.replace(op, weight=np.tile(op.weight, (1, 3)))
        elif first and not router:
            inputs = (builder.add("rows", layer(width, width), inputs[:1]), *inputs[1:])
        builder.add(node.name, op, inputs, node.source)
    graph = builder.finish(*old.outputs)
    return dataclasses.replace(graph, nodes=live(graph.nodes, graph.outputs))


@pytest.mark.parametrize("router", [True, False], ids=["a wider router", "experts of a linear layer"])
def test_it_is_equal(made: Made, router: bool) -> None:
    graph = other(made, router=router)
    for image in made.images[:3]:
        watched(graph, image)
        interpreted(graph, image, ARRAY)


def test_layers_of_experts_that_something_else_reads_are_refused(made: Made) -> None:
    down = [node for node in made.graph if isinstance(node.op, IntegerExpertLinear)][-1]
    graph = dataclasses.replace(made.graph, outputs=(down.name,))
    with pytest.raises(UnsupportedModel, match="can't be lowered"):
        lower(graph, ARRAY)
