# SPDX-License-Identifier: Apache-2.0
"""The choice by task: `for_task` takes its place."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch, UsageError
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.ops import AddConstant, Choose


def graph() -> Graph:
    builder = GraphBuilder("x", TensorType((2, 1)))
    one = builder.add("one", AddConstant(value=np.ones((2, 1))), ["x"])
    two = builder.add("two", AddConstant(value=2 * np.ones((2, 1))), ["x"])
    chosen = builder.add("chosen", Choose(), [one, two])
    first = builder.add("first", AddConstant(value=np.zeros((2, 1))), [chosen])
    return builder.finish(first, chosen)


def test_each_task_is_a_graph_of_its_own() -> None:
    whole = graph()
    assert [node.name for node in whole.for_task(0)] == ["one", "first"]
    assert [node.name for node in whole.for_task(1)] == ["two"]
    assert evaluate(whole, np.zeros((2, 1)), 0)["first"].tolist() == [[1.0], [1.0]]
    assert evaluate(whole, np.zeros((2, 1)), 1)["two"].tolist() == [[2.0], [2.0]]


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"task must be in 0\.\.1, not 2"):
        graph().for_task(2)
    with pytest.raises(TypeMismatch, match="all tasks need one type"):
        Choose().infer(TensorType((2, 1)), TensorType((3, 1)))
    for method in (Choose().golden, Choose().reference):
        with pytest.raises(TypeMismatch, match="must be narrowed to one"):
            method()
    builder = GraphBuilder("x", TensorType((2, 1)))
    builder.add("chosen", Choose(), ["x", "x", "x"])
    with pytest.raises(TypeMismatch, match="must choose among 1 tasks"):
        builder.finish("chosen")
