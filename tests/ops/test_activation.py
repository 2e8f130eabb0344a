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
    with pytest.raises(TypeMismatch, match=r"input must be in -128..127 for 256 entries, not -32768..32767"):
        op.infer(INT16)
    for entries in (0, 255, 128, 257, 8192):
        with pytest.raises(TypeMismatch, match=f"a power of two in 256..4096, not {entries}$"):
            IntegerTable(table=np.zeros(entries, int), scale=0.25).infer(TensorType((3, 4), -64, 63, 0.5))


@pytest.mark.parametrize("bits", range(9, 13))
def test_a_wider_table_maps_every_index(bits: int) -> None:
    half = 1 << (bits - 1)
    table = np.random.default_rng(bits).integers(-128, 128, 2 * half)
    op, x = IntegerTable(table=table, scale=0.25), np.arange(-half, half)
    assert op.bits == bits
    assert op.golden(x).tolist() == [table[index] for index in range(2 * half)]
    assert op.infer(TensorType((3,), -half, half - 1, 0.5)) == TensorType((3,), -128, 127, 0.25)
    assert op.infer(TensorType((3,), -128, 127, 0.5)) == TensorType((3,), -128, 127, 0.25)
    with pytest.raises(TypeMismatch, match=f"input must be in -{half}..{half - 1} for {2 * half} entries"):
        op.infer(TensorType((3,), -half, half, 0.5))


def test_activations() -> None:
    x = np.linspace(-6, 6, 101)
    gelu = [0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(Activation(function="gelu").reference(x), gelu, atol=1e-12)
    assert np.abs(Activation(function="gelu_tanh").reference(x) - gelu).max() < 5e-4
    assert Activation(function="relu").reference(x).tolist() == [max(v, 0.0) for v in x]
    assert Activation(function="mul(x, 2.0)").reference(x).tolist() == (x * 2).tolist()
    with pytest.raises(TypeMismatch, match=r"function must be one of gelu, gelu_tanh, .* not 'swish'"):
        Activation(function="swish").infer(TensorType((3, 4)))
