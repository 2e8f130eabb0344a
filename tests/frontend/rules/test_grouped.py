# SPDX-License-Identifier: Apache-2.0
"""Heads that share keys and values: any spelling has each of them once."""

from __future__ import annotations

import numpy as np
import pytest
from support.grouped_models import GROUPED, Grouped, WithoutSoftmax
from support.variants import HEAD, same, seeded

from hlsgen.frontend.capture import capture
from hlsgen.ir import Graph
from hlsgen.ops import Context, Matmul, Scores


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, 2, 4, 6)).astype(np.float32)


def captured(model: Grouped) -> Graph:
    """The model's graph, which computes the same."""
    graph = capture(seeded(model), pictures(1))
    same(model, graph, pictures(3))
    return graph


@pytest.mark.parametrize("name", GROUPED)
def test_shared_heads_are_made_once(name: str) -> None:
    make, keys, values = GROUPED[name]
    model = make()
    graph = captured(model)
    shared = [getattr(node.op, "shared") for node in graph if isinstance(node.op, Scores | Context)]  # noqa: B009
    assert shared == [keys, values] * (len(shared) // 2)
    widths = [
        graph.type_of(node.inputs[1]).shape[1] for node in graph if isinstance(node.op, Scores | Context)
    ]
    assert widths == [model.heads * HEAD // (more + 1) for more in shared]


def test_products_share_heads_too() -> None:
    graph = captured(WithoutSoftmax())
    assert {(node.op.heads, node.op.shared) for node in graph if isinstance(node.op, Matmul)} == {(6, 2)}
