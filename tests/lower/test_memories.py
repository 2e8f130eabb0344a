# SPDX-License-Identifier: Apache-2.0
"""Rows are read from the memory that their load mode reads: what lies in another one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import IntegerAdd, IntegerLayerNorm, IntegerLinear, IntegerMean, Patches

ARRAY = ArrayShape(rows=2, columns=2, depth=2)
INT8, INT16 = (-128, 127), (-32768, 32767)
NORM = IntegerLayerNorm(epsilon=1, gain=16384, gain_shift=10)


def linear(width: int, span: tuple[int, int]) -> IntegerLinear:
    ones = np.ones(4, np.int64)
    weight = np.ones((4, width), np.int64)
    return IntegerLinear(
        weight=weight, bias=ones, multiplier=ones, shift=ones, low=span[0], high=span[1], scale=1.0
    )


def start(span: tuple[int, int]) -> GraphBuilder:
    """Patches and a first layer x [4, 4]."""
    g = GraphBuilder("image", TensorType((1, 4, 4), -128, 127, 1.0))
    g.add("x", linear(4, span), [g.add("patches", Patches(patch=(2, 2)), ["image"])])
    return g


def finish(g: GraphBuilder, rows: str) -> Graph:
    return g.finish(g.add("head", linear(4, INT16), [rows]))


def refused(graph: Graph, why: str) -> None:
    with pytest.raises(UnsupportedModel) as error:
        lower(graph, ARRAY)
    assert [problem.why for problem in error.value.problems] == [why]


def test_a_linear_layer_of_a_residual_tensor() -> None:
    refused(finish(start(INT16), "x"), "%x, which it reads, must be a result of 8 bits")
    lower(finish(start(INT8), "x"), ARRAY)


def test_a_layer_norm_of_features() -> None:
    g = start(INT8)
    refused(finish(g, g.add("norm", NORM, ["x"])), "%x, which it reads, must be a result of 16 bits")
    g = start(INT16)
    lower(finish(g, g.add("norm", NORM, ["x"])), ARRAY)


def test_an_addition_to_features() -> None:
    g = start(INT8)
    y = g.add("y", linear(4, INT16), ["x"])
    g.add("sum", IntegerAdd(), ["x", y])
    graph = g.finish("sum")
    refused(graph, "%x, to which it is added, must be a result of 16 bits")


@pytest.mark.parametrize(("norm", "span"), [(False, INT16), (True, INT8), (False, (0, 127))])
def test_a_mean_that_saturates_elsewhere(norm: bool, span: tuple[int, int]) -> None:
    g = start(INT16)
    rows = g.add("mean", IntegerMean(shift=2, low=span[0], high=span[1]), ["x"])
    rows = g.add("norm", NORM, [rows]) if norm else rows
    low, high = INT16 if norm else INT8
    refused(finish(g, rows), f"the mean saturates to {low}..{high} there, not to {span[0]}..{span[1]}")
