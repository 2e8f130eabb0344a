# SPDX-License-Identifier: Apache-2.0
"""How tokens are routed beside the float model: agreement, ties and near-ties."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.ir import Graph, TensorType
from hlsgen.quantization.routing import RoutingCount


class Logits:
    """What `RoutingCount` asks of a Graph: the routing's logits, in steps of a half."""

    inputs = ("logits",)

    def node(self, _: str) -> Logits:
        return self

    def type_of(self, _: str) -> TensorType:
        return TensorType((3, 4), -128, 127, 0.5)


def chosen(logits: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(-logits, -1, kind="stable")[..., :k]
    return np.concatenate([order, np.zeros(order.shape)], -1)


@pytest.fixture
def count() -> RoutingCount:
    graph: Graph = Logits()  # pyright: ignore[reportAssignmentType]
    return RoutingCount(graph, "route", 1)


REAL = np.array([[[4.0, 3.0, 1.0, 0.0], [4.0, 2.0, 2.1, 0.0], [4.0, 3.05, 2.95, 0.0]]])
WHOLE = np.array([[[8, 6, 2, 0], [8, 5, 4, 0], [8, 6, 6, 0]]])


def test_agreement_ties_and_near_ties(count: RoutingCount) -> None:
    """The same experts; others, of a near-tie; the same of a near-tie that is a tie of integers."""
    count.update((chosen(WHOLE, 2), chosen(REAL, 2)), (WHOLE, REAL))
    found = count.report()
    assert (found.task, found.tokens, found.agreeing, found.load) == (1, 3, 2, (3, 3, 0, 0))
    assert (found.ties, found.near, found.near_others) == (1, 2, 1)
    assert found.agreement == (
        "66.67% (2 of 3; 20.8% to 93.9%) of the tokens go where the float model sends them, "
        "and of the 1 others 1 are near-ties; "
        "2 near-ties, 1 ties of integers"
    )


def test_batches_count_as_one(count: RoutingCount) -> None:
    """The error that near-ties are measured with is that of all of them."""
    for part in range(3):
        one = tuple(values[:, part : part + 1] for values in (WHOLE, REAL))
        count.update((chosen(one[0], 2), chosen(one[1], 2)), (one[0], one[1]))
    assert (count.report().ties, count.report().near, count.report().near_others) == (1, 2, 1)


def test_all_experts_chosen_is_no_tie(count: RoutingCount) -> None:
    count.update((chosen(WHOLE, 4), chosen(REAL, 4)), (WHOLE, REAL))
    found = count.report()
    assert (found.agreeing, found.ties, found.near) == (3, 0, 0)


def test_nothing_seen(count: RoutingCount) -> None:
    assert (count.report().tokens, count.report().near) == (0, 0)
