# SPDX-License-Identifier: Apache-2.0
"""IntegerMean against Python integers; the rest of the division lies in its scale."""

from __future__ import annotations

import numpy as np
import pytest
from ops import slow

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    IntegerMean,
    Mean,
)

INT16 = TensorType((3, 4), -32768, 32767, 0.5)


@pytest.mark.parametrize("tokens", [1, 2, 9, 17])
@pytest.mark.parametrize("shift", [0, 1, 4, 12])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-32768, 32767)])
def test_mean(tokens: int, shift: int, low: int, high: int) -> None:
    x = np.random.default_rng(shift).integers(-32768, 32768, (tokens, 5))
    x[:, 0], x[:, 1], x[:, 2] = 0, 32767, -32768
    op = IntegerMean(shift=shift, low=low, high=high)
    assert op.golden(x).tolist() == slow.mean(x.tolist(), shift, low, high)
    np.testing.assert_array_equal(op.golden(np.stack([x, -x]))[0], op.golden(x))


def test_mean_type_holds_the_division() -> None:
    assert IntegerMean(shift=2, low=-9, high=9).infer(INT16) == TensorType((1, 4), -9, 9, 0.5 * 4 / 3)
    with pytest.raises(TypeMismatch, match="an integer"):
        IntegerMean(shift=2, low=-9, high=9).infer(TensorType((3, 4)))
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(Mean().reference(x), x.sum(1, keepdims=True) / 3)
    assert Mean().infer(TensorType((3, 4))) == TensorType((1, 4))
