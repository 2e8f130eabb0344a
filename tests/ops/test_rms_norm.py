# SPDX-License-Identifier: Apache-2.0
"""IntegerRMSNorm against exact rationals; its type; the float op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import RangeOverflow
from hlsgen.ir import TensorType
from hlsgen.ops import IntegerLayerNorm, IntegerRMSNorm, RMSNorm


@pytest.mark.parametrize("width", [1, 2, 3, 15, 32, 192])
@pytest.mark.parametrize("gain", [0.9, 31.7, 200.0])
@pytest.mark.parametrize("epsilon", [0, 3, 10**6, (1 << 48) - 1])
def test_equals_the_definition(width: int, gain: float, epsilon: int) -> None:
    """Zero rows, rows of one value, narrow and wide rows, and a single one."""
    random = np.random.default_rng(width)
    multiplier, shift = numerics.dyadic(gain)
    op = IntegerRMSNorm(epsilon=epsilon, gain=multiplier, gain_shift=shift)
    spread = np.array([0, 1, 10, 1000, 20_000, 60_000])[:, None]
    rows = random.normal(random.normal(0, 1 + spread), 0.1 + spread, (6, width))
    x = np.clip(rows.round(), -32768, 32767).astype(np.int64)
    x[0] = (0, -32768, 32767)[width % 3]
    expected = [slow.rms_norm(row, epsilon, multiplier, shift) for row in x.tolist()]
    assert op.golden(x).tolist() == expected
    assert op.golden(x[:1]).tolist() == expected[:1]


@pytest.mark.parametrize("width", [1024, 4096])
def test_extreme_rows(width: int) -> None:
    multiplier, shift = numerics.dyadic(200.0)
    op = IntegerRMSNorm(epsilon=0, gain=multiplier, gain_shift=shift)
    x = np.full((5, width), -32768)
    x[1, ::2] = 32767
    x[2] = 0
    x[2, 0] = 32767
    x[3] = 0
    x[4, 1:] = 1
    got = op.golden(x)
    assert got.tolist() == [slow.rms_norm(row, 0, multiplier, shift) for row in x.tolist()]
    assert not got[3].any()
    assert (got[0] == -128).all()  # a factor of 200 saturates: the row's root is its only value
    assert got[2, 0] == 127


def test_rows_without_a_mean_are_those_of_a_layer_norm() -> None:
    multiplier, shift = numerics.dyadic(31.7)
    half = np.random.default_rng(5).integers(-30_000, 30_000, (7, 12))
    x = np.concatenate([half, -half], -1)
    fields: dict[str, Any] = {"epsilon": 77, "gain": multiplier, "gain_shift": shift}
    np.testing.assert_array_equal(IntegerRMSNorm(**fields).golden(x), IntegerLayerNorm(**fields).golden(x))


def test_leading_axes_are_batches() -> None:
    op = IntegerRMSNorm(epsilon=9, gain=20_000, gain_shift=10)
    x = np.random.default_rng(0).integers(-3000, 3000, (2, 3, 4, 8))
    np.testing.assert_array_equal(op.golden(x)[1, 2], op.golden(x[1, 2]))


def test_type() -> None:
    op = IntegerRMSNorm(epsilon=0, gain=20_000, gain_shift=10)
    kind = op.infer(TensorType((3, 8), -32768, 32767, 0.01))
    assert kind == TensorType((3, 8), -128, 127, 1024 / 20_000)
    with pytest.raises(RangeOverflow, match=r"rms_norm: input -32769\.\.0 must fit 16 bits"):
        op.infer(TensorType((3, 8), -32769, 0, 0.01))
    with pytest.raises(RangeOverflow, match="rms_norm: width 4097 must be at most 4096"):
        op.infer(TensorType((3, 4097), -32768, 32767, 0.01))


def test_float_reference() -> None:
    random = np.random.default_rng(1)
    op = RMSNorm(gamma=random.normal(size=8), beta=random.normal(size=8), eps=1e-2)
    x = random.normal(3, 2, (2, 5, 8))
    expected = x / np.sqrt((x**2).mean(-1)[..., None] + 1e-2) * op.gamma + op.beta
    np.testing.assert_allclose(op.reference(x), expected, atol=1e-12)
    np.testing.assert_allclose(op.plain().reference(x) * op.gamma + op.beta, expected, atol=1e-12)
    assert op.infer(TensorType((5, 8))) == TensorType((5, 8))
