# SPDX-License-Identifier: Apache-2.0
"""IntegerContext against loops; the whole attention: key order, batches."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    Context,
    IntegerContext,
    IntegerExp,
    IntegerScores,
)

SHAPES = [(1, 1, 1, 1), (1, 1, 6, 4), (3, 5, 1, 1), (2, 4, 7, 3), (4, 9, 9, 8)]
"""heads, queries, keys, head dimension: one token, one head, one key among them."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ratio", [0.01, 1.3, 40.0])
def test_context_equals_loops(shape: tuple[int, int, int, int], ratio: float) -> None:
    heads, queries, keys, size = shape
    random = np.random.default_rng(sum(shape))
    e = random.integers(0, 256, (heads, queries, keys))
    e[..., 0] = 255
    v = random.integers(-128, 128, (keys, heads * size))
    multiplier, shift = numerics.dyadic(ratio)
    op = IntegerContext(multiplier=multiplier, shift=shift, scale=0.1)
    assert op.golden(e, v).tolist() == slow.context(e.tolist(), v.tolist(), multiplier, shift)


def test_wider_numerators_equal_loops_and_their_range_is_proved() -> None:
    random = np.random.default_rng(9)
    e, v = random.integers(0, 4096, (2, 3, 7)), random.integers(-127, 128, (7, 6))
    multiplier, shift = numerics.dyadic(0.7)
    op = IntegerContext(multiplier=multiplier, shift=shift, scale=0.1)
    assert op.golden(e, v).tolist() == slow.context(e.tolist(), v.tolist(), multiplier, shift)
    for keys, most in ((4096, 4095), (4098, 4095), (65536, 255)):
        types = TensorType((1, 1, keys), 0, most, 1 / most), TensorType((keys, 2), -127, 127, 0.1)
        if keys * most * 128 < 1 << 31:
            assert op.infer(*types).shape == (1, 2)
        else:
            with pytest.raises(RangeOverflow, match=f"{keys} keys leave the 32-bit accumulator"):
                op.infer(*types)


def test_rows_without_weight_and_extreme_values() -> None:
    multiplier, shift = numerics.dyadic(1.0)
    op = IntegerContext(multiplier=multiplier, shift=shift, scale=0.1)
    e = np.array([[[0, 0, 0], [255, 255, 255], [0, 255, 0]]])
    v = np.array([[127, -128], [127, -128], [127, -128]])
    got = op.golden(e, v)
    assert got.tolist() == slow.context(e.tolist(), v.tolist(), multiplier, shift)
    assert got[0].tolist() == [0, 0]
    assert got[1:].tolist() == [[127, -128]] * 2


def test_key_order_changes_nothing() -> None:
    random = np.random.default_rng(5)
    q, k, v = (random.integers(-128, 128, (11, 12)) for _ in range(3))
    order = random.permutation(11)
    scores = IntegerScores(heads=3, multiplier=20_000, shift=20, width=10, scale=1 / 32)
    exp = IntegerExp(table=numerics.exp_table(1 / 32, 10))
    context = IntegerContext(multiplier=20_000, shift=14, scale=0.1)
    plain = context.golden(exp.golden(scores.golden(q, k)), v)
    np.testing.assert_array_equal(context.golden(exp.golden(scores.golden(q, k[order])), v[order]), plain)


def test_batches_are_images_side_by_side() -> None:
    random = np.random.default_rng(6)
    q, k, v = (random.integers(-128, 128, (2, 5, 7, 6)) for _ in range(3))
    scores = IntegerScores(heads=2, multiplier=20_000, shift=20, width=10, scale=1 / 32)
    exp = IntegerExp(table=numerics.exp_table(1 / 32, 10))
    context = IntegerContext(multiplier=20_000, shift=14, scale=0.1)
    got = context.golden(exp.golden(scores.golden(q, k)), v)
    one = context.golden(exp.golden(scores.golden(q[1, 3], k[1, 3])), v[1, 3])
    assert got.shape == (2, 5, 7, 6)
    np.testing.assert_array_equal(got[1, 3], one)


def test_type() -> None:
    e, v = TensorType((2, 4, 9), 0, 255, 1 / 255), TensorType((9, 6), -127, 127, 0.1)
    op = IntegerContext(multiplier=20_000, shift=14, scale=0.1)
    assert op.infer(e, v) == TensorType((4, 6), -128, 127, 0.1)
    assert Context().infer(e, v) == TensorType((4, 6))


def test_wrong_types_are_refused() -> None:
    e, v = TensorType((2, 4, 4), 0, 255, 1 / 255), TensorType((4, 6), -127, 127, 0.1)
    with pytest.raises(RangeOverflow, match="shift must be at most 38, not 39"):
        IntegerContext(multiplier=20_000, shift=39, scale=0.1).infer(e, v)
    op = IntegerContext(multiplier=20_000, shift=14, scale=0.1)
    with pytest.raises(TypeMismatch, match="context: softmax"):
        op.infer(e, TensorType((5, 6), -127, 127, 0.1))
    many = 1 << 17
    weights, values = TensorType((1, 1, many), 0, 255, 1 / 255), TensorType((many, 2), -127, 127, 0.1)
    with pytest.raises(RangeOverflow, match=f"{many} keys leave the 32-bit accumulator"):
        op.infer(weights, values)
    with pytest.raises(RangeOverflow, match=r"values must lie in -127\.\.127, not in -128\.\.127"):
        op.infer(e, TensorType((4, 6), -128, 127, 0.1))


def test_float_reference() -> None:
    random = np.random.default_rng(7)
    p, v = random.random((2, 4, 5)), random.normal(size=(5, 6))
    context = Context().reference(p, v)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        np.testing.assert_allclose(context[:, part], p[head] @ v[:, part], atol=1e-12)
