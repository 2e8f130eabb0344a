# SPDX-License-Identifier: Apache-2.0
"""A cast divides all rows by nearly the same number, whatever the rows are."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen import numerics
from hlsgen.ir import TensorType
from hlsgen.ops import Cast, IntegerCast
from hlsgen.ops.cast import ROOT_BITS


@pytest.mark.parametrize("width", [1, 2, 7, 48, 192])
def test_it_is_a_division_but_for_half_a_unit(width: int) -> None:
    random, scale = np.random.default_rng(width), 2.0**-9
    rows = random.integers(-1400, 1401, (50, width))
    rows[0], rows[1], rows[2] = 0, 1400, -1400
    # What one unit of the norm is worth, over a result that holds the largest value in 8 bits.
    unit = 2.0**ROOT_BITS / width
    gain, shift = numerics.dyadic(min(unit * 120 / 1400, 2.0**14))
    op = IntegerCast(epsilon=1 << (2 * ROOT_BITS), gain=gain, gain_shift=shift)
    kind = op.infer(TensorType(rows.shape, -(1 << 15), (1 << 15) - 1, scale))
    assert kind.integer_range == (-128, 127)
    found, wanted = op.golden(rows), rows * scale / (kind.scale or 0.0)
    assert np.abs(found - wanted).max() <= 0.5 + 0.6 * (np.abs(wanted).max() > 60)
    assert not found[0].any()


def test_in_real_numbers_it_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(3, 5))
    assert Cast().reference(values) is values
    assert Cast().infer(TensorType((3, 5))) == TensorType((3, 5))
