# SPDX-License-Identifier: Apache-2.0
"""Groups of a mask side by side: the same results, whatever order they were in; others stay as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.token_graphs import Tokens, integers

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Load
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import Add, Context, Gather, IntegerScores, Scores, Softmax
from hlsgen.quantization.regroup import group_order, regroup


def _graph(seen: np.ndarray, *, behind_a_sum: bool = False) -> Graph:
    """Attention under a mask, with a bias beside it."""
    tokens = len(seen)
    t = Tokens(tokens, 8, 2)
    x = t.add(Add(), t.x, t.linear(t.x, 8)) if behind_a_sum else t.x
    q, k, v = (t.linear(t.relu(t.linear(x, 8)), 8) for _ in range(3))
    bias = np.where(seen, t.random.normal(size=(2, tokens, tokens)), -np.inf)
    scores = t.add(Scores(heads=2, scale=0.4, bias=bias), q, k)
    return t.graph.finish(t.linear(t.add(Context(), t.add(Softmax(), scores), v), 3))


def _blocks(groups: np.ndarray) -> np.ndarray:
    return groups[:, None] == groups


GROUPS = np.array([0, 1, 0, 2, 1, 2, 0, 1, 2, 0, 3])
"""The group of each token; one is alone."""


def test_groups_lie_side_by_side() -> None:
    order = group_order(_blocks(GROUPS))
    assert order is not None
    assert GROUPS[order].tolist() == sorted(GROUPS)
    chain = np.eye(11, dtype=bool) | np.eye(11, k=4, dtype=bool)  # each sees the one four behind it
    order = group_order(chain)
    assert order is not None
    assert order.tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7]
    assert group_order(np.ones((3, 4), bool)) is None


@pytest.mark.parametrize("behind_a_sum", [False, True])
def test_the_graph_computes_the_same(behind_a_sum: bool) -> None:
    graph = _graph(_blocks(GROUPS), behind_a_sum=behind_a_sum)
    made = regroup(graph)
    assert [node.name for node in made if isinstance(node.op, Gather)]
    image = np.random.default_rng(5).normal(size=graph.input_type.shape)
    before, after = evaluate(graph, image), evaluate(made, image)
    for name in (node.name for node in graph if not isinstance(node.op, Scores | Softmax)):
        np.testing.assert_allclose(after[name], before[name], atol=1e-12)


def test_queries_that_see_no_key_are_groups() -> None:
    seen = _blocks(GROUPS)
    seen[3] = seen[:, 3] = False
    graph = _graph(seen)
    image = np.random.default_rng(5).normal(size=graph.input_type.shape)
    np.testing.assert_allclose(
        evaluate(regroup(graph), image)[graph.output], evaluate(graph, image)[graph.output], atol=1e-12
    )


def _neighbours(side: int, window: int) -> np.ndarray:
    """Sliding windows of a square grid, clamped at its border."""
    first = np.clip(np.arange(side) - window // 2, 0, side - window)[:, None]
    line = (np.arange(side) >= first) & (np.arange(side) < first + window)
    return (line[:, None, :, None] & line[None, :, None, :]).reshape(side * side, side * side)


def test_a_neighbourhood_is_read_in_strips() -> None:
    graph = _graph(_neighbours(28, 7))
    made = regroup(graph)
    assert [node.name for node in made if isinstance(node.op, Gather)]
    image = np.random.default_rng(5).normal(size=graph.input_type.shape)
    before, after = evaluate(graph, image), evaluate(made, image)
    np.testing.assert_allclose(after[graph.output], before[graph.output], atol=1e-12)


def test_what_lies_side_by_side_stays() -> None:
    for seen in (_blocks(np.sort(GROUPS)), np.tri(9, dtype=bool), np.ones((5, 5), bool)):
        graph = _graph(seen)
        assert regroup(graph) is graph


@pytest.mark.parametrize("shape", [(4, 4, 4, 1), (4, 4, 8, 2), (4, 8, 4, 4)])
def test_the_machine_goes_from_window_to_window(shape: tuple[int, ...]) -> None:
    """And every tensor of the integer Graph is shown, whatever rows lie between its windows."""
    graph, image = integers("windows", 54, 16, 2)
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, bus_bytes=4)
    lowered = lower(graph, array)
    program = lowered.program
    attention = [command for command in program.commands if command.load is Load.ATTENTION]
    assert {command.keys for command in attention} == {9}
    assert max(command.heads for command in attention) > 2
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, columns))
    assert compare(program, run.records, evaluate(graph, image)) is None
    shown = {view.tensor for view in program.views}
    assert {node.name for node in graph if node.type.shape[-1] == 54} <= shown


@pytest.mark.parametrize("logit_bits", [8, 9, 10, 11, 12])
def test_keys_in_any_order_give_the_same_integers(logit_bits: int) -> None:
    """Under masks of every kind: rows that see no key, one key, all of them."""
    graph, image = integers("masked", 13, 16, 2, logit_bits)
    golden, random = evaluate(graph, image), np.random.default_rng(logit_bits)
    scores = next(node for node in graph if isinstance(node.op, IntegerScores))
    (exp,) = graph.users(scores.name)
    (context,) = graph.users(exp.name)
    query, keys = (golden[name] for name in scores.inputs)
    given: Any = scores.op
    values, addends = golden[context.inputs[1]], given.addends
    for _ in range(5):
        order = random.permutation(len(keys))
        op = replace(given, addends=addends[:, :, order])
        logits = op.golden(query, keys[order])
        weights = exp.op.golden(logits)
        np.testing.assert_array_equal(context.op.golden(weights, values[order]), golden[context.name])
