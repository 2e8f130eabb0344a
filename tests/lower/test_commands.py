# SPDX-License-Identifier: Apache-2.0
"""A step of an op that its command does not compute is refused, never given a command without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from support.graphs import AWKWARD, DIGITS, Vit, integer_vit

from hlsgen.errors import UnsupportedModel
from hlsgen.ir import Node
from hlsgen.lower.lower import lower, prepare
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import AttentionStep, LinearStep

ARRAY = ArrayShape(rows=4, columns=4, depth=8)


def _rows(name: str) -> Callable[[LinearStep, Node], LinearStep]:
    def change(step: LinearStep, node: Node) -> LinearStep:
        return dataclasses.replace(step, rows=dataclasses.replace(step.rows, **{name: node}))

    return change


def _step(name: str) -> Callable[[Any, Node], Any]:
    return lambda step, node: dataclasses.replace(step, **{name: node})


@pytest.mark.parametrize(
    ("model", "has", "change", "what"),
    [
        (DIGITS, lambda step: step.rows.norm, _rows("norm"), "a norm"),
        (AWKWARD, lambda step: step.rows.pool, _rows("pool"), "a mean"),
        (DIGITS, lambda step: step.table, _step("table"), "a table"),
        (DIGITS, lambda step: step.constant, _step("constant"), "the addition of a constant"),
    ],
    ids=["norm", "pool", "table", "constant"],
)
def test_another_op_is_refused(model: Vit, has: Any, change: Any, what: str) -> None:
    graph = integer_vit(model)
    prepared = prepare(graph)
    steps = list(prepared.steps)
    index = next(i for i, step in enumerate(steps) if isinstance(step, LinearStep) and has(step))
    node = has(steps[index])
    other = dataclasses.replace(
        node, op=next(each.op for each in graph if "Scores" in type(each.op).__name__)
    )
    steps[index] = change(steps[index], other)
    with pytest.raises(UnsupportedModel) as caught:
        lower(dataclasses.replace(prepared, steps=steps), ARRAY)
    (problem,) = caught.value.problems
    assert problem.what == f"{node.name} must be {what}, not IntegerScores"
    assert problem.why == "its command computes nothing else"


def test_another_exp_is_refused() -> None:
    graph = integer_vit(DIGITS)
    prepared = prepare(graph)
    steps = [
        dataclasses.replace(step, exp=step.scores) if isinstance(step, AttentionStep) else step
        for step in prepared.steps
    ]
    with pytest.raises(UnsupportedModel) as caught:
        lower(dataclasses.replace(prepared, steps=steps), ARRAY)
    assert caught.value.problems[0].what.endswith("must be a table, not IntegerScores")
