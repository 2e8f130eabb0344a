# SPDX-License-Identifier: Apache-2.0
"""IntegerMixedScores against loops over heads, maps, queries and keys."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import IntegerMixedScores, MixedScores


def _op(weight: np.ndarray, width: int = 8) -> IntegerMixedScores:
    return IntegerMixedScores(weight=weight, multiplier=20_000, shift=20, width=width, scale=0.1)


@pytest.mark.parametrize(("heads", "maps", "queries", "keys"), [(1, 1, 1, 1), (3, 2, 4, 5), (2, 4, 1, 3)])
def test_every_logit_is_a_sum_of_maps(heads: int, maps: int, queries: int, keys: int) -> None:
    random = np.random.default_rng(heads)
    weight = random.integers(-127, 128, (heads, maps)).astype(np.int8)
    x = random.integers(-128, 128, (2, queries, maps * keys))
    found = _op(weight).golden(x)
    assert found.shape == (2, heads, queries, keys)
    for image, head, query, key in np.ndindex(*found.shape):
        total = sum(int(weight[head, m]) * int(x[image, query, m * keys + key]) for m in range(maps))
        assert found[image, head, query, key] == numerics.requantize(np.array(total), 20_000, 20, -128, 127)


def test_floats_and_shapes() -> None:
    matrix = np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 0.0]])
    op = MixedScores(matrix=matrix)
    assert op.infer(TensorType((4, 6))) == TensorType((3, 4, 3))
    x = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(op.reference(x)[0], x[:, :3] - 2 * x[:, 3:])
    np.testing.assert_array_equal(op.times(2.0).reference(x), 2 * op.reference(x))
    with pytest.raises(TypeMismatch, match="maps of 2 heads, side by side"):
        op.infer(TensorType((4, 5)))
    assert MixedScores(matrix=np.array([[np.nan]])).unfit()


def test_limits() -> None:
    assert _op(np.full((1, 2), 127, np.int8)).infer(TensorType((2, 4), -128, 127, 1.0)).shape == (1, 2, 2)
    with pytest.raises(RangeOverflow, match=r"must lie in -127\.\.127"):
        _op(np.full((1, 2), -128, np.int8)).infer(TensorType((2, 4), -128, 127, 1.0))
