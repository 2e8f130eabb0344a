# SPDX-License-Identifier: Apache-2.0
"""Tables of expressions, and of functions that are not defined everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import hlsgen
from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import Activation, AddConstant, IntegerTable, LayerNorm, Linear, Patches
from hlsgen.ops.pointwise import function
from hlsgen.quantization import QuantizeConfig

PLAIN = QuantizeConfig(centred=False)
RANDOM = np.random.default_rng(2)


def _graph(text: str, bias: float = 0.0) -> Graph:
    builder = GraphBuilder("image", TensorType((1, 4, 4)))

    def linear(name: str, outputs: int, inputs: int, source: str) -> str:
        op = Linear(
            weight=RANDOM.normal(size=(outputs, inputs)),
            bias=RANDOM.normal(size=outputs) + bias * (name == "up"),
        )
        return builder.add(name, op, [source])

    x = linear("embed", 6, 4, builder.add("patches", Patches(patch=(2, 2)), ["image"]))
    x = builder.add("tokens", AddConstant(value=RANDOM.normal(size=(4, 6))), [x])
    x = builder.add("norm", LayerNorm(gamma=np.ones(6), beta=np.zeros(6), eps=1e-5), [x])
    x = builder.add("act", Activation(function=text), [linear("up", 5, 6, x)])
    return builder.finish(linear("head", 3, 5, x))


@pytest.mark.parametrize("text", ["silu", "mul(max(x, 0.0), max(x, 0.0))", "expm1(x)"])
def test_the_table_is_the_function_of_each_input(text: str) -> None:
    graph = hlsgen.quantize(_graph(text), RANDOM.normal(size=(32, 1, 4, 4)), PLAIN).graph
    op, up = graph.node("act").op, graph.type_of("up")
    assert isinstance(op, IntegerTable)
    for x in range(-128, 128):
        exact = float(function(text)(np.array(x * (up.scale or 0.0)))) / op.scale
        assert op.table[x + 128] == np.clip(np.floor(exact + 0.5), -128, 127)


def test_a_function_without_a_value_for_some_input_is_refused() -> None:
    with pytest.raises(UnsupportedModel) as caught:
        hlsgen.quantize(_graph("sqrt(x)", 40.0), RANDOM.normal(size=(32, 1, 4, 4)), PLAIN)
    (problem,) = caught.value.problems
    assert problem.what == "act: the function sqrt(x) must be defined for all inputs of 8 bits"
    assert problem.fix == "limit the function's input first, with torch.clamp"
