# SPDX-License-Identifier: Apache-2.0
"""Routing: the k best, their gates, and the integer form's errors."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import IntegerRoute, Route
from hlsgen.ops.route import CONVENTIONS, split


def integer(k: int, convention: str, scale: float, bits: int = 10) -> IntegerRoute:
    make = numerics.sigmoid_table if convention == "sigmoid" else numerics.gate_table
    return IntegerRoute(k=k, convention=convention, table=make(scale, bits))


def one_by_one(logits: np.ndarray, k: int, convention: str) -> tuple[list[int], list[float]]:
    """The definition, with Python's sort."""
    order = sorted(range(len(logits)), key=lambda e: (-logits[e], e))[:k]
    if convention == "sigmoid":
        return order, [1 / (1 + np.exp(-logits[e])) for e in order]
    over = range(len(logits)) if convention == "softmax_all" else order
    return order, [np.exp(logits[e]) / sum(np.exp(logits[o]) for o in over) for e in order]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("experts", "k"), [(1, 1), (2, 1), (5, 5), (16, 2), (64, 3)])
def test_both_forms_against_the_definition(convention: str, experts: int, k: int) -> None:
    random, scale = np.random.default_rng(experts), 0.02
    logits = random.integers(-512, 512, (7, 9, experts))
    logits[0] = 5  # exact ties
    exact = Route(k=k, convention=convention).reference(logits * scale)
    chosen, gates = split(integer(k, convention, scale).golden(logits))
    for place in np.ndindex(7, 9):
        order, wanted = one_by_one(logits[place] * scale, k, convention)
        assert chosen[place].tolist() == order == exact[place][:k].tolist()
        np.testing.assert_allclose(exact[place][k:], wanted, rtol=1e-12)
        assert np.abs(gates[place] / 2.0**15 - wanted).max() < 2e-4
    assert gates.min() >= 0
    assert gates.max() <= numerics.GATE_ONE


def test_types() -> None:
    logits = TensorType((9, 16), -512, 511, 0.02)
    assert integer(2, "softmax_all", 0.02).infer(logits).shape == (9, 4)
    with pytest.raises(TypeMismatch, match=r"k must be in 1\.\.16, not 17"):
        integer(17, "softmax_all", 0.02).infer(logits)
    with pytest.raises(TypeMismatch, match="convention must be one of"):
        Route(k=1, convention="hard").infer(logits)
    with pytest.raises(TypeMismatch, match="table must have 1024 entries, not 256"):
        integer(2, "sigmoid", 0.02, bits=8).infer(logits)


def test_gates_of_extremes() -> None:
    assert numerics.gates(numerics.GATE_ONE, numerics.GATE_ONE) == numerics.GATE_ONE
    assert numerics.gates(5, 0) == 0
    assert numerics.gates(0, 7) == 0
    assert numerics.gated_add(32767, 32767, numerics.GATE_ONE, 15) == 32767
    assert numerics.gated_add(-32768, -32768, numerics.GATE_ONE, 0) == -32768
