# SPDX-License-Identifier: Apache-2.0
"""IntegerTable over every int8; the functions themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    Activation,
    IntegerTable,
)

INT16 = TensorType((3, 4), -32768, 32767, 0.5)


def test_table_maps_every_int8() -> None:
    table = np.random.default_rng(0).integers(-128, 128, 256)
    op = IntegerTable(table=table, scale=0.25)
    for x in range(-128, 128):
        assert op.golden(np.array([x]))[0] == table[x + 128]
    assert op.infer(TensorType((3, 4), -128, 127, 0.5)) == TensorType((3, 4), -128, 127, 0.25)
    with pytest.raises(TypeMismatch, match="256 entries and an int8 input"):
        op.infer(INT16)
    with pytest.raises(TypeMismatch, match="256 entries and an int8 input"):
        IntegerTable(table=table[:-1], scale=0.25).infer(TensorType((3, 4), -128, 127, 0.5))


def test_activations() -> None:
    x = np.linspace(-6, 6, 101)
    gelu = [0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(Activation(function="gelu").reference(x), gelu, atol=1e-12)
    assert np.abs(Activation(function="gelu_tanh").reference(x) - gelu).max() < 5e-4
    assert Activation(function="relu").reference(x).tolist() == [max(v, 0.0) for v in x]
    assert Activation(function="mul(x, 2.0)").reference(x).tolist() == (x * 2).tolist()
    with pytest.raises(TypeMismatch, match=r"function must be one of gelu, gelu_tanh, .* not 'swish'"):
        Activation(function="swish").infer(TensorType((3, 4)))
