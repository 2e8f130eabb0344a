# SPDX-License-Identifier: Apache-2.0
"""Rows are read from the memory that their load mode reads: what lies elsewhere is copied, exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.lowered import interpreted, watched

from hlsgen import numerics
from hlsgen.errors import UnsupportedModel
from hlsgen.ir import GraphBuilder, TensorType
from hlsgen.lower import lower
from hlsgen.lower.legalise.expand import expand
from hlsgen.lower.legalise.forms import forms
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import (
    IntegerAdd,
    IntegerAddConstant,
    IntegerConstant,
    IntegerContext,
    IntegerExp,
    IntegerGroupedLinear,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
    Transpose,
)

RANDOM = np.random.default_rng(8)
IMAGE = RANDOM.integers(-128, 128, (1, 4, 4))
INT8, INT16, FACTOR = (-128, 127), (-32768, 32767), (-127, 127)
NORM = IntegerLayerNorm(epsilon=9, gain=1 << 14, gain_shift=9)
PARTS = IntegerLayerNorm(epsilon=9, gain=1 << 14, gain_shift=9, heads=2)
TABLE = IntegerTable(table=np.arange(-128, 128)[::-1], scale=1.0)
SCORES = IntegerScores(heads=2, multiplier=1 << 14, shift=20, width=8, scale=1.0)
EXP = IntegerExp(table=numerics.exp_table(0.05, 8))
CONTEXT = IntegerContext(multiplier=1 << 14, shift=14, scale=1.0)


def linear(width: int, span: tuple[int, int], size: int = 4) -> IntegerLinear:
    return IntegerLinear(
        weight=RANDOM.integers(-127, 128, (size, width)), bias=RANDOM.integers(-99, 99, size),
        multiplier=np.full(size, 1 << 14), shift=np.full(size, 14 if span == INT16 else 21),
        low=span[0], high=span[1], scale=1.0,
    )  # fmt: skip


def start(span: tuple[int, int]) -> GraphBuilder:
    """Patches and a first layer x [4, 4]."""
    g = GraphBuilder("image", TensorType((1, 4, 4), -128, 127, 1.0))
    g.add("x", linear(4, span), [g.add("patches", Patches(patch=(2, 2)), ["image"])])
    return g


def norm_of_features(g: GraphBuilder) -> str:
    return g.add("norm", NORM, ["x"])


def norm_of_a_norm(g: GraphBuilder) -> str:
    return g.add("norm", NORM, [g.add("first", PARTS, ["x"])])


def sum_with_features(g: GraphBuilder) -> str:
    return g.add("sum", IntegerAdd(), ["x", g.add("y", linear(4, INT16), ["x"])])


def sum_of_features(g: GraphBuilder) -> str:
    return g.add("sum", IntegerAdd(), [g.add("moved", TABLE, ["x"]), g.add("table", TABLE, ["x"])])


def constants_of_a_sum(g: GraphBuilder) -> str:
    once = g.add("once", IntegerAddConstant(value=RANDOM.integers(-9, 9, (4, 4))), ["x"])
    return g.add("twice", IntegerAddConstant(value=RANDOM.integers(-30000, 30000, (4, 4))), [once])


def table_of_a_table(g: GraphBuilder) -> str:
    return g.add("table", TABLE, [g.add("first", TABLE, ["x"])])


def means(g: GraphBuilder) -> str:
    mean = g.add("mean", IntegerMean(shift=1, low=0, high=100), ["x"])
    return g.add("norm", NORM, [g.add("again", IntegerMean(shift=0, low=-128, high=127), [mean])])


def rows_of_what_load_makes(g: GraphBuilder) -> str:
    norm = g.add("rows", Select(start=1, stop=3), [g.add("norm", NORM, ["x"])])
    pixels = g.add("pixels", Select(start=2, stop=4), ["patches"])
    return g.add(
        "sum", IntegerAdd(), [g.add("p", linear(4, INT16), [norm]), g.add("q", linear(4, INT16), [pixels])]
    )


def wide_groups(g: GraphBuilder) -> str:
    layer = linear(2, INT16)
    op = IntegerGroupedLinear(groups=2, **vars(layer))
    return g.add("norm", NORM, [g.add("grouped", op, ["x"])])


def one_tensor_everywhere(g: GraphBuilder) -> str:
    """Queries, keys, values of two contexts of the same weights; rows, addend, both sides of a product."""
    exp = g.add("exp", EXP, [g.add("scores", SCORES, ["x", "x"])])
    contexts = [g.add(name, CONTEXT, [exp, "x"]) for name in ("a", "b")]
    again = g.add("c", CONTEXT, [g.add("exp_2", EXP, ["scores"]), g.add("moved", Transpose(heads=1), ["x"])])
    op = IntegerMatmul(heads=2, transposed=True, multiplier=1 << 14, shift=20, low=-127, high=127, scale=1.0)
    product = g.add("product", op, ["x", "x"])
    rows = [g.add(f"row_{name}", linear(4, INT16), [name]) for name in (*contexts, again, "x")]
    rows.append(g.add("maps", linear(8, INT16), [product]))
    total = rows[0]
    for row in rows[1:]:
        total = g.add("total", IntegerAdd(), [total, row])
    return g.add("both", IntegerAdd(), [total, g.add("last", linear(4, INT16), ["x"])])


CASES: list[tuple[Callable[[GraphBuilder], str], tuple[int, int]]] = [
    (norm_of_features, INT8),
    (norm_of_a_norm, INT8),
    (norm_of_a_norm, INT16),
    (sum_with_features, INT8),
    (sum_of_features, INT8),
    (constants_of_a_sum, INT16),
    (table_of_a_table, INT8),
    (means, INT16),
    (rows_of_what_load_makes, INT16),
    (wide_groups, INT8),
    (one_tensor_everywhere, FACTOR),
]


@pytest.mark.parametrize(("case", "span"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
@pytest.mark.parametrize("row_width", [1, 2])
def test_it_is_equal(case: Callable[[GraphBuilder], str], span: tuple[int, int], row_width: int) -> None:
    """What is made, a linear layer of it where it has 8 bits, and x, are outputs, too."""
    g = start(span)
    last = case(g)
    graph = g.finish(last, "x", "patches", names=["a", "b", "c"])
    watched(graph, IMAGE, row_width)
    for rows, columns, depth in ((2, 2, 2), (4, 4, 2), (2, 2, 4)):
        interpreted(graph, IMAGE, ArrayShape(rows=rows, columns=columns, depth=depth, row_width=row_width))


def test_a_constant_is_stored_and_leaves() -> None:
    for span in (INT8, INT16):
        g = start(INT16)
        value = RANDOM.integers(*span, (4, 4))
        c = g.add("c", IntegerConstant(value=value, low=span[0], high=span[1], scale=1.0), ["image"])
        graph = g.finish(c, g.add("sum", IntegerAdd(), ["x", c]), names=["a", "b"])
        watched(graph, IMAGE)
        interpreted(graph, IMAGE, ArrayShape(rows=2, columns=2, depth=2))


def test_a_graph_whose_readers_agree_stays_the_same() -> None:
    g = start(INT16)
    graph = g.finish(g.add("head", linear(4, INT16), [g.add("norm", NORM, ["x"])]))
    assert forms(graph) is graph
    g = start(FACTOR)
    made = forms(expand(g.finish(one_tensor_everywhere(g))))
    assert forms(made) is made


# What no command computes without changing an integer: docs/lowering.md.


def refused(g: GraphBuilder, output: str, *why: str) -> None:
    with pytest.raises(UnsupportedModel) as error:
        lower(g.finish(output), ArrayShape(rows=2, columns=2, depth=2))
    assert [problem.why for problem in error.value.problems] == list(why)


def test_operands_of_16_bits() -> None:
    g = start(INT16)
    refused(g, g.add("head", linear(4, INT16), ["x"]), "it has 16 bits")


def test_a_sum_of_sums() -> None:
    g = start(INT16)
    sums = [g.add(n, IntegerAddConstant(value=np.ones((4, 4), np.int64)), ["x"]) for n in ("a", "b")]
    why = "of two sums of 16 bits none leaves the array: one side must be a product"
    refused(g, g.add("sum", IntegerAdd(), sums), why)


def test_means_of_16_bits() -> None:
    g = start(INT16)
    mean = g.add("mean", IntegerMean(shift=2, low=-900, high=900), ["x"])
    why = "LOAD saturates a mean to 16 bits, not to -900..900"
    refused(g, g.add("head", linear(4, INT16), [g.add("norm", NORM, [mean])]), why)
    g = start(INT16)
    mean = g.add("mean", IntegerMean(shift=2, low=INT16[0], high=INT16[1]), ["x"])
    refused(g, g.add("head", linear(4, INT16), [mean]), "it has 16 bits")


def test_a_norm_by_head_of_a_sum() -> None:
    g = start(INT16)
    total = g.add("sum", IntegerAddConstant(value=np.ones((4, 4), np.int64)), ["x"])
    refused(g, g.add("head", linear(4, INT16), [g.add("norm", PARTS, [total])]), "it has 16 bits")


def test_a_product_by_head_of_16_bits() -> None:
    g = start(FACTOR)
    op = IntegerMatmul(heads=2, transposed=True, multiplier=1 << 14, shift=14, low=-999, high=999, scale=1.0)
    why = "a product by head has 8 bits"
    refused(g, g.add("norm", NORM, [g.add("product", op, ["x", "x"])]), why)


def test_scores_that_leave() -> None:
    g = start(FACTOR)
    g.add("scores", SCORES, ["x", "x"])
    refused(g, "scores", "it is a part of other commands")


def test_two_ways_to_cut_the_image() -> None:
    g = start(INT8)
    other = g.add("other", Patches(patch=(1, 4)), ["image"])
    graph = g.finish("x", g.add("y", linear(4, INT8), [other]), names=["a", "b"])
    with pytest.raises(UnsupportedModel, match="a model must cut its image in one way, not in 2"):
        lower(graph, ArrayShape(rows=2, columns=2, depth=2))


def test_outputs_that_tasks_share_in_a_ring() -> None:
    """Two tasks share one and end behind it; of three no order lets all end behind their last output."""
    g = start(INT8)
    x, y, z = (g.add(name, linear(4, INT8), ["x"]) for name in "abc")
    shared = g.finish(x, y, z, x, names=["p", "q"])
    watched(shared, IMAGE)
    interpreted(shared, IMAGE, ArrayShape(rows=2, columns=2, depth=2))
    with pytest.raises(UnsupportedModel, match="share outputs in a ring"):
        lower(g.finish(x, y, y, z, z, x, names=["p", "q"]), ArrayShape(rows=2, columns=2, depth=2))
