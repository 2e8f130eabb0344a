# SPDX-License-Identifier: Apache-2.0
"""Addition on the residual stream: saturated, one scale, one shape."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    Add,
    AddConstant,
    IntegerAdd,
    IntegerAddConstant,
)

INT16 = TensorType((3, 4), -32768, 32767, 0.5)
ENDS = (-32768, -32767, -1, 0, 1, 32766, 32767)


def test_add_saturates() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(ENDS, ENDS))
    expected = [slow.clamp(int(a) + int(b), -32768, 32767) for a, b in zip(x, y, strict=True)]
    assert IntegerAdd().golden(x, y).tolist() == expected
    assert IntegerAddConstant(value=y).golden(x).tolist() == expected
    assert IntegerAddConstant(value=y).golden(np.stack([x, x]))[1].tolist() == expected


def test_add_types() -> None:
    assert IntegerAdd().infer(INT16, INT16) == INT16
    constant = np.zeros((3, 4), np.int64)
    assert IntegerAddConstant(value=constant).infer(INT16) == INT16
    with pytest.raises(TypeMismatch, match="one shape and one scale"):
        IntegerAdd().infer(INT16, TensorType((3, 4), -32768, 32767, 0.25))
    for op, types in (
        (Add(), (TensorType((3, 4)), TensorType((4, 3)))),
        (AddConstant(value=constant), (TensorType((4, 3)),)),
        (IntegerAddConstant(value=constant), (TensorType((4, 3), 0, 1, 0.5),)),
    ):
        with pytest.raises(TypeMismatch, match="must be equal"):
            op.infer(*types)


def test_float_additions() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(Add().reference(x, y), x + y)
    np.testing.assert_array_equal(AddConstant(value=y).reference(x), x + y)
    assert Add().infer(TensorType((3, 4)), TensorType((3, 4))) == TensorType((3, 4))
