# SPDX-License-Identifier: Apache-2.0
"""Folding: equal floats, plain norms, the nodes that pooling needs; and which tensors share a scale."""

from __future__ import annotations

import numpy as np
import pytest
from quantization.graphs import Vit, digits_vit, images, random_vit
from support.token_graphs import Tokens

from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.ops import Add, AddConstant, Cast, Constant, LayerNorm, Linear, Matmul, Mean, Patches
from hlsgen.ops.kinds import Kind
from hlsgen.quantization.fold import fold
from hlsgen.quantization.roles import kinds, streams

POOLS = ("token", "mean_norm", "norm_mean", "mean", "token_plain")


@pytest.mark.parametrize("pool", POOLS)
def test_folding_changes_no_result(pool: str) -> None:
    shape = Vit(pool=pool)
    graph, x = random_vit(shape), images(shape, 5)
    before, after = evaluate(graph, x), evaluate(fold(graph), x)
    for node in graph:
        if not isinstance(node.op, LayerNorm):
            np.testing.assert_allclose(after[node.name], before[node.name], rtol=0, atol=1e-12)


def test_norms_become_plain_and_their_linears_take_gamma_and_beta() -> None:
    folded = fold(digits_vit())
    norms = [node.op for node in folded if isinstance(node.op, LayerNorm)]
    assert len(norms) == 7
    assert all((n.gamma == 1).all() and (n.beta == 0).all() and n.eps == 1e-5 for n in norms)
    names = [node.name for node in digits_vit()]
    assert [node.name for node in folded] == names


def test_pooling_gets_the_nodes_the_machine_needs() -> None:
    def tail(pool: str) -> list[tuple[str, str]]:
        folded = fold(random_vit(Vit(pool=pool)))
        return [(node.name, type(node.op).__name__) for node in folded][-4:]

    norm_mean = [("norm", "LayerNorm"), ("norm_affine", "Linear"), ("mean", "Mean"), ("head", "Linear")]
    assert tail("norm_mean") == norm_mean
    assert tail("token_plain")[1:] == [("token", "Select"), ("token_mean", "Mean"), ("head", "Linear")]
    assert tail("mean")[2:] == [("mean", "Mean"), ("head", "Linear")]


def test_dead_nodes_vanish() -> None:
    graph = random_vit(Vit(blocks=1))
    builder = GraphBuilder("image", graph.input_type)
    for node in graph:
        builder.add(node.name, node.op, node.inputs)
        if node.name == "blocks_0_norm1":
            builder.add("unused", Mean(), ["blocks_0_norm1"])
    assert [n.name for n in fold(builder.finish("head"))] == [n.name for n in graph]


def test_the_residual_stream_is_one_stream_and_each_pooled_part_its_own() -> None:
    folded = fold(random_vit(Vit(blocks=1, pool="norm_mean")))
    kind = kinds(folded)
    assert streams(folded, kind) == [
        (
            "patch_embed",
            "embedding",
            "blocks_0_attn_proj",
            "blocks_0_add1",
            "blocks_0_mlp_fc2",
            "blocks_0_add2",
        ),
        ("norm_affine",),
    ]
    assert kind["mean"] is kind["norm"] is Kind.NARROW
    assert (kind["image"], kind["blocks_0_scores"], kind["head"]) == (Kind.IMAGE, Kind.LOGITS, Kind.OUTPUT)
    folded = fold(random_vit(Vit(blocks=1, pool="mean_norm")))
    assert kinds(folded)["mean"] is Kind.WIDE
    assert len(streams(folded, kinds(folded))) == 1


def test_a_constant_that_all_rows_have_is_the_bias_of_its_layer_alone() -> None:
    """Where rows differ the constant stays; a layer that another node reads, too, is there twice by then."""

    def made(constant: np.ndarray, *, twice: bool = False) -> Graph:
        t = Tokens(5, 6, 2)
        rows = t.linear(t.x, 6)
        shifted = t.add(AddConstant(value=constant), rows)
        other = t.add(Add(), shifted, rows) if twice else shifted
        return t.graph.finish(t.linear(other, 3))

    random = np.random.default_rng(4)
    same = np.repeat(random.normal(size=(1, 6)), 5, 0)
    image = random.normal(size=(3, 8, 20))
    for constant, twice, kept in ((same, False, 0), (same, True, 0), (random.normal(size=(5, 6)), False, 1)):
        graph = made(constant, twice=twice)
        folded = fold(graph)
        assert sum(isinstance(node.op, AddConstant) for node in folded) == kept
        np.testing.assert_allclose(
            evaluate(folded, image)[folded.output], evaluate(graph, image)[graph.output], atol=1e-12
        )


def test_a_layer_of_two_constants_is_there_twice_and_nothing_copies_it() -> None:
    """What a reader takes in 8 bits is made in 8 bits; products that made the rows have rounded them."""
    random = np.random.default_rng(4)
    same = np.repeat(random.normal(size=(1, 6)), 5, 0)
    t = Tokens(5, 6, 2)
    rows = t.linear(t.x, 6)
    one = t.add(AddConstant(value=same * (1.0 + 1e-15 * random.normal(size=same.shape))), rows)
    two = t.add(AddConstant(value=np.zeros((5, 6))), rows)
    graph = t.graph.finish(t.add(Add(), one, t.linear(two, 6)))
    folded, image = fold(graph), random.normal(size=(3, 8, 20))
    assert not any(isinstance(node.op, AddConstant | Cast) for node in folded)
    assert (
        sum(isinstance(node.op, Linear) for node in folded)
        == sum(isinstance(node.op, Linear) for node in graph) + 1
    )
    np.testing.assert_allclose(
        evaluate(folded, image)[folded.output], evaluate(graph, image)[graph.output], atol=1e-12
    )


@pytest.mark.parametrize(("inputs", "layers"), [(24, 1), (4, 2)])
def test_a_layer_is_repeated_only_where_a_copy_takes_as_long(inputs: int, layers: int) -> None:
    """The image of 24 or 4 channels gives 6: a sum reads them, and a product with a matrix."""
    random = np.random.default_rng(5)
    builder = GraphBuilder("image", TensorType((inputs, 5, 1)))
    cut = builder.add("cut", Patches(patch=(1, 1)), ["image"])
    weight, bias = random.normal(size=(6, inputs)), np.zeros(6)
    rows = builder.add("rows", Linear(weight=weight, bias=bias), [cut])
    x = builder.add("x", AddConstant(value=np.ones((5, 6))), [rows])
    matrix = builder.add("matrix", Constant(value=random.normal(size=(5, 5))), ["image"])
    mixed = builder.add("mixed", Matmul(heads=1, transposed=False, scale=1.0), [matrix, x])
    graph = builder.finish(builder.add("sum", Add(), [x, mixed]))
    folded, image = fold(graph), random.normal(size=(3, inputs, 5, 1))
    assert sum(node.inputs[0] == "cut" for node in folded) == layers
    np.testing.assert_allclose(
        evaluate(folded, image)[folded.output], evaluate(graph, image)[graph.output], atol=1e-12
    )
