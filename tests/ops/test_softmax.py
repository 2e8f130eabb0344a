# SPDX-License-Identifier: Apache-2.0
"""IntegerExp against its definition, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    IntegerExp,
    Softmax,
)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (3, 5, 1), (2, 4, 7)])
def test_exp_equals_the_definition(shape: tuple[int, int, int]) -> None:
    logits = np.random.default_rng(sum(shape)).integers(-128, 128, shape)
    op = IntegerExp(table=numerics.exp_table(0.03, 8))
    table = op.table.tolist()
    assert op.golden(logits).tolist() == [[slow.exp(row, table) for row in head] for head in logits.tolist()]
    assert (op.golden(logits).max(-1) == 255).all()


@pytest.mark.parametrize(("bits", "digits"), [(8, 1), (9, 2), (12, 2)])
def test_wider_numerators(bits: int, digits: int) -> None:
    logits, one = np.random.default_rng(bits).integers(-128, 128, (2, 3, 9)), (1 << bits) - 1
    op = IntegerExp(table=numerics.exp_table(0.03, 8, bits))
    assert (op.bits, op.digits, op.table[0]) == (bits, digits, one)
    assert op.golden(logits).tolist() == [
        [slow.exp(row, op.table.tolist()) for row in head] for head in logits.tolist()
    ]
    assert op.infer(TensorType((2, 3, 9), -128, 127, 0.03)) == TensorType((2, 3, 9), 0, one, 1 / one)


def test_numerators_beyond_12_bits_are_refused() -> None:
    table = numerics.exp_table(0.03, 8, 13)
    with pytest.raises(TypeMismatch, match=r"exp: table must be in 0..4095, not \d+..8191"):
        IntegerExp(table=table).infer(TensorType((1, 1, 1), -128, 127, 0.03))


def test_type() -> None:
    logits = TensorType((2, 4, 9), -512, 511, 1 / 32)
    op = IntegerExp(table=numerics.exp_table(1 / 32, 10))
    assert op.infer(logits) == TensorType((2, 4, 9), 0, 255, 1 / 255)
    with pytest.raises(TypeMismatch, match="table must have 1024 entries, not 256"):
        IntegerExp(table=numerics.exp_table(0.1, 8)).infer(logits)


def test_float_reference() -> None:
    logits = np.random.default_rng(7).normal(size=(2, 4, 5))
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(Softmax().reference(logits), weights, atol=1e-12)
    assert np.isfinite(Softmax().reference(np.array([[1e5, -1e5, 0.0]]))).all()
    assert Softmax().infer(TensorType((2, 4, 5))) == TensorType((2, 4, 5))
