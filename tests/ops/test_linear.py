# SPDX-License-Identifier: Apache-2.0
"""IntegerLinear against one dot product after the other; its accumulator's range; the float op."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ops import slow

from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import GraphBuilder, Source, TensorType
from hlsgen.ops import IntegerLinear, Linear

INT8 = TensorType((3, 5), -128, 127, 0.1)


def _op(random: np.random.Generator, n: int, k: int, low: int = -128, high: int = 127) -> IntegerLinear:
    return IntegerLinear(
        weight=random.integers(-127, 128, (n, k)),
        bias=random.integers(-5000, 5000, n),
        multiplier=random.integers(1 << 14, 1 << 15, n),
        shift=random.integers(18, 24, n),
        low=low,
        high=high,
        scale=0.5,
    )


def _slow(op: IntegerLinear, x: np.ndarray) -> list[list[int]]:
    bias, multiplier, shift = op.bias.tolist(), op.multiplier.tolist(), op.shift.tolist()
    return slow.linear(x.tolist(), op.weight.tolist(), bias, multiplier, shift, op.low, op.high)


@pytest.mark.parametrize(("t", "k", "n"), [(1, 1, 1), (1, 5, 3), (3, 5, 1), (7, 33, 6)])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-32768, 32767)])
def test_equals_dot_products(t: int, k: int, n: int, low: int, high: int) -> None:
    random = np.random.default_rng(t + k + n)
    op, x = _op(random, n, k, low, high), random.integers(-128, 128, (t, k))
    assert op.golden(x).tolist() == _slow(op, x)


def test_saturating_and_zero_inputs() -> None:
    op = _op(np.random.default_rng(1), 6, 5)
    for value in (-128, 0, 127):
        x = np.full((3, 5), value)
        assert op.golden(x).tolist() == _slow(op, x)
    big = IntegerLinear(
        weight=np.full((1, 5), 127),
        bias=np.zeros(1, int),
        multiplier=np.array([1 << 14]),
        shift=np.array([14]),
        low=-128,
        high=127,
        scale=1.0,
    )
    assert big.golden(np.array([[127] * 5, [-128] * 5, [0] * 5])).tolist() == [[127], [-128], [0]]


def test_the_largest_accumulators_are_exact() -> None:
    k = 4096
    op = IntegerLinear(
        weight=np.full((2, k), -127),
        bias=np.array([(1 << 30) - 1, -(1 << 30)]),
        multiplier=np.array([32767, 16384]),
        shift=np.array([46, 30]),
        low=-32768,
        high=32767,
        scale=1.0,
    )
    x = np.stack([np.full(k, -128), np.full(k, 127)])
    assert op.golden(x).tolist() == _slow(op, x)


def test_batches_are_images_side_by_side() -> None:
    random = np.random.default_rng(2)
    op, x = _op(random, 4, 5), random.integers(-128, 128, (2, 3, 7, 5))
    got = op.golden(x)
    assert got.shape == (2, 3, 7, 4)
    np.testing.assert_array_equal(got[1, 2], op.golden(x[1, 2]))


def test_type_and_accumulator_range() -> None:
    op = _op(np.random.default_rng(3), 4, 5)
    assert op.infer(INT8) == TensorType((3, 4), -128, 127, 0.5)
    least, most = op.accumulator_range(INT8)
    positive, negative = np.maximum(op.weight, 0).sum(1), np.minimum(op.weight, 0).sum(1)
    high, low = 127 * positive - 128 * negative, -128 * positive + 127 * negative
    assert (least, most) == (min(low.min(), (low + op.bias).min()), max(high.max(), (high + op.bias).max()))


def test_overflow_and_wrong_shapes_are_refused() -> None:
    op = IntegerLinear(
        weight=np.full((1, 5), 127),
        bias=np.array([643]),
        multiplier=np.array([1 << 14]),
        shift=np.array([20]),
        low=-128,
        high=127,
        scale=1.0,
    )
    with pytest.raises(RangeOverflow, match=r"accumulator range -81280\.\.2147483648 leaves 32 bits"):
        op.infer(TensorType((3, 5), -128, 3381863, 0.1))
    with pytest.raises(TypeMismatch, match="weight"):
        op.infer(TensorType((3, 6), -128, 127, 0.1))


def test_the_ends_of_every_constant_are_taken() -> None:
    op = replace(
        _op(np.random.default_rng(5), 2, 5),
        bias=np.array([-(1 << 18), (1 << 18) - 1]),
        multiplier=np.array([0, (1 << 15) - 1]),
        shift=np.array([0, 46]),
    )
    assert op.infer(INT8).shape == (3, 2)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("bias", 1 << 18, "bias must be in -262144..262143, not 262144"),
        ("bias", -(1 << 18) - 1, "bias must be in -262144..262143, not -262145"),
        ("multiplier", 1 << 15, "multiplier must be in 0..32767, not 32768"),
        ("multiplier", -1, "multiplier must be in 0..32767, not -1"),
        ("shift", 47, "shift must be in 0..46, not 47"),
        ("shift", -1, "shift must be in 0..46, not -1"),
    ],
)
def test_constants_that_no_record_holds_are_refused(field: str, value: int, text: str) -> None:
    op = _op(np.random.default_rng(6), 4, 5)
    changed = getattr(op, field).copy()
    changed[1:3] = value
    builder = GraphBuilder("x", INT8)
    with pytest.raises(RangeOverflow) as caught:
        builder.add("fc", replace(op, **{field: changed}), ["x"], Source("mlp.fc", "model.py:7"))
    (problem,) = caught.value.problems
    assert problem.what == f"linear: {text}"
    assert problem.where == "%fc mlp.fc at model.py:7, channel 1 and 1 more"
    bits = {"bias": 19, "multiplier": 15, "shift": 6}[field]
    assert problem.why == f"the accelerator has {bits} bits for it"
    assert problem.fix


def test_float_reference() -> None:
    random = np.random.default_rng(4)
    op = Linear(weight=random.normal(size=(4, 5)), bias=random.normal(size=4))
    x = random.normal(size=(2, 3, 5))
    np.testing.assert_allclose(op.reference(x), np.einsum("btk,nk->btn", x, op.weight) + op.bias, atol=1e-12)
    assert op.infer(TensorType((3, 5))) == TensorType((3, 4))
    with pytest.raises(TypeMismatch, match="linear: weight"):
        op.infer(TensorType((3, 4)))


def test_weights_take_a_byte_each_and_golden_stays_exact_at_their_ends() -> None:
    random = np.random.default_rng(4)
    op = _op(random, 3, 5)
    assert op.weight.dtype == np.int8
    op.weight[...] = random.choice([-128, -127, 0, 127], (3, 5))
    x = random.choice([-128, 127], (4, 5))
    assert op.golden(x).tolist() == _slow(op, x)
    wide = replace(op, weight=np.full((3, 5), 128))
    assert wide.weight.tolist() == [[128] * 5] * 3
    assert wide.golden(x).tolist() == _slow(wide, x)


def test_the_column_of_smallest_weights_counts_in_full() -> None:
    """128 has no place in 8 bits: a magnitude of -128 would take single precision for exact."""
    k = 1100
    op = IntegerLinear(
        weight=np.array([[1] + [-128] * (k - 1)]),
        bias=np.zeros(1, int),
        multiplier=np.array([1 << 14]),
        shift=np.array([14]),
        low=-(1 << 31),
        high=(1 << 31) - 1,
        scale=1.0,
    )
    x = np.array([[127] + [-128] * (k - 1)])
    assert op.golden(x).tolist() == [[128 * 128 * (k - 1) + 127]]
