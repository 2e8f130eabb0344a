# SPDX-License-Identifier: Apache-2.0
"""IntegerLayerNorm against exact rationals; its type; the float op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import IntegerLayerNorm, IntegerRMSNorm, LayerNorm


@pytest.mark.parametrize("width", [1, 2, 3, 15, 32, 192])
@pytest.mark.parametrize("gain", [0.9, 31.7, 200.0])
@pytest.mark.parametrize("epsilon", [0, 3, 10**6, (1 << 48) - 1])
def test_equals_the_definition(width: int, gain: float, epsilon: int) -> None:
    random = np.random.default_rng(width)
    multiplier, shift = numerics.dyadic(gain)
    op = IntegerLayerNorm(epsilon=epsilon, gain=multiplier, gain_shift=shift)
    spread = np.array([0, 1, 10, 1000, 20_000, 60_000])[:, None]
    rows = random.normal(random.normal(0, 1 + spread), 0.1 + spread, (6, width))
    x = np.clip(rows.round(), -32768, 32767).astype(np.int64)
    x[0] = (0, -32768, 32767)[width % 3]
    expected = [slow.layer_norm(row, epsilon, multiplier, shift) for row in x.tolist()]
    assert op.golden(x).tolist() == expected
    assert op.golden(x[:1]).tolist() == expected[:1]


def test_extreme_rows() -> None:
    multiplier, shift = numerics.dyadic(31.7)
    op = IntegerLayerNorm(epsilon=0, gain=multiplier, gain_shift=shift)
    x = np.full((5, 1024), -32768)
    x[1, ::2] = 32767
    x[2, 0] = 32767
    x[3] = 0
    x[4, 1:] = -32767
    assert op.golden(x).tolist() == [slow.layer_norm(row, 0, multiplier, shift) for row in x.tolist()]


def test_leading_axes_are_batches() -> None:
    op = IntegerLayerNorm(epsilon=9, gain=20_000, gain_shift=10)
    x = np.random.default_rng(0).integers(-3000, 3000, (2, 3, 4, 8))
    np.testing.assert_array_equal(op.golden(x)[1, 2], op.golden(x[1, 2]))


def test_type() -> None:
    op = IntegerLayerNorm(epsilon=0, gain=20_000, gain_shift=10)
    kind = op.infer(TensorType((3, 8), -32768, 32767, 0.01))
    assert kind == TensorType((3, 8), -128, 127, 1024 / 20_000)
    with pytest.raises(RangeOverflow, match=r"input -32769\.\.0 must fit 16 bits"):
        op.infer(TensorType((3, 8), -32769, 0, 0.01))
    with pytest.raises(RangeOverflow, match="width 4097 must be at most 4096"):
        op.infer(TensorType((3, 4097), -32768, 32767, 0.01))


@pytest.mark.parametrize("kind", [IntegerLayerNorm, IntegerRMSNorm])
@pytest.mark.parametrize("gain_shift", [7, 10])
def test_an_element_with_a_shift_is_that_of_a_norm_of_more_gain(
    kind: type[IntegerLayerNorm], gain_shift: int
) -> None:
    random = np.random.default_rng(gain_shift)
    for width in (1, 5, 32):
        shifts = random.integers(0, 8, width)
        op = kind(epsilon=77, gain=20_000, gain_shift=gain_shift, shifts=shifts)
        x = random.normal(0, np.array([[0], [3], [900], [20_000]]), (4, width)).round().astype(np.int64)
        x = np.clip(x, -32768, 32767)
        expected = [
            slow.shifted_norm(row, sum(row) * kind.centred, 77, 20_000, gain_shift, shifts.tolist())
            for row in x.tolist()
        ]
        assert op.golden(x).tolist() == expected
        plain = kind(epsilon=77, gain=20_000, gain_shift=gain_shift)
        assert op.golden(x)[:, shifts == 0].tolist() == plain.golden(x)[:, shifts == 0].tolist()


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"shifts": np.array([0, 8])}, RangeOverflow, r"shifts 0\.\.8 must lie in 0\.\.7"),
        ({"shifts": np.array([-1, 0])}, RangeOverflow, r"shifts -1\.\.0 must lie in 0\.\.7"),
        ({"shifts": np.array([4, 0]), "gain_shift": 3}, RangeOverflow, r"shifts 0\.\.4 must lie in 0\.\.3"),
        ({"shifts": np.zeros(3, int)}, TypeMismatch, r"shifts must be 2 integers, in a norm of whole rows"),
        ({"shifts": np.zeros(2)}, TypeMismatch, r"not float64\[2\] with 1 heads"),
        ({"shifts": np.zeros(2, int), "heads": 2}, TypeMismatch, r"not int64\[2\] with 2 heads"),
    ],
)
def test_shifts_that_a_norm_can_not_have(fields: dict, error: type[Exception], text: str) -> None:
    given: dict[str, Any] = {"epsilon": 1, "gain": 20_000, "gain_shift": 9} | fields
    op = IntegerLayerNorm(**given)
    with pytest.raises(error, match=text):
        op.infer(TensorType((3, 2), -32768, 32767, 0.01))


def test_float_reference() -> None:
    random = np.random.default_rng(1)
    op = LayerNorm(gamma=random.normal(size=8), beta=random.normal(size=8), eps=1e-2)
    x = random.normal(3, 2, (2, 5, 8))
    expected = (x - x.mean(-1)[..., None]) / np.sqrt(x.var(-1)[..., None] + 1e-2) * op.gamma + op.beta
    np.testing.assert_allclose(op.reference(x), expected, atol=1e-12)
    assert op.infer(TensorType((5, 8))) == TensorType((5, 8))
