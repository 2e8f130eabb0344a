# SPDX-License-Identifier: Apache-2.0
"""Combination of experts' results: order, rounding, saturation."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import Combine, IntegerCombine


def test_experts_add_in_ascending_order_and_each_saturates() -> None:
    # Choices in order of their logits: expert 3 before expert 1; expert 1 is added first.
    route = np.array([[3, 1, 32767, 32767]])
    results = np.array([[-20000], [30000]])
    got = IntegerCombine(left=0).golden(np.array([[10000]]), results, route)
    first = min(10000 + (30000 * 32767 + (1 << 14) >> 15), 32767)
    assert got.tolist() == [[first + (-20000 * 32767 + (1 << 14) >> 15)]]


@pytest.mark.parametrize("left", [0, 3, 15])
def test_against_float(left: int) -> None:
    random = np.random.default_rng(left)
    route = np.c_[np.argsort(random.random((8, 6)))[:, :2], random.integers(0, 32768, (8, 2))]
    x = random.integers(-9000, 9000, (2, 8, 4))
    results = random.integers(-9000, 9000, (2, 16, 4)) >> left
    routes = np.stack([route, route])
    got = IntegerCombine(left=left).golden(x, results, routes)
    gates = np.concatenate([routes[..., :2], routes[..., 2:] / 2.0**15], -1)
    wanted = Combine().reference(x.astype(float), results * 2.0**left, gates)
    assert np.abs(got - np.clip(wanted, -32768, 32767)).max() <= 1.0


def test_types() -> None:
    x, route = TensorType((5, 4), -32768, 32767, 0.5), TensorType((5, 4), 0, 32767, 1.0)
    results = TensorType((10, 4), -32768, 32767, 2.0)
    assert IntegerCombine(left=2).infer(x, results, route) == x
    with pytest.raises(TypeMismatch, match=r"scale 2\.0 must be 2\*\*1 times 0\.5"):
        IntegerCombine(left=1).infer(x, results, route)
    with pytest.raises(TypeMismatch, match="must fit"):
        Combine().infer(x, TensorType((5, 4)), route)
