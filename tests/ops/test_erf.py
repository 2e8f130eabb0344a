# SPDX-License-Identifier: Apache-2.0
"""The error function on arrays beside the C library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hlsgen.ops.erf import REACH, STEPS, erf


def _units_off(x: np.ndarray) -> np.ndarray:
    """Distance from `math.erf` in units in the last place."""
    wanted = np.array([math.erf(value) for value in x.tolist()])
    return np.abs(erf(x) - wanted) / np.spacing(np.abs(wanted))


@pytest.mark.parametrize(
    "x",
    [
        np.linspace(-REACH - 0.5, REACH + 0.5, 40_001),
        np.random.default_rng(0).normal(size=100_000),
        np.geomspace(1e-300, 1.0, 20_001),
        # On the expansion points, half way between them, and right beside both.
        *(np.nextafter(np.arange(REACH * STEPS * 2) / (2 * STEPS), to) for to in (-1.0, 1.0)),
    ],
    ids=["even", "normal", "small", "below", "above"],
)
def test_it_is_that_of_the_c_library_but_for_the_last_bits(x: np.ndarray) -> None:
    assert _units_off(x).max() <= 2  # both are wrong by about one unit


def test_signs_zeros_infinities_and_nan() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf, 5e-324, 1e308])
    got = erf(x)
    assert got.tolist() == [math.erf(value) for value in x.tolist()]
    assert np.signbit(got).tolist() == [False, True, False, True, False, False]
    assert np.isnan(erf(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_shapes_and_strides_and_the_argument_stays() -> None:
    x = np.random.default_rng(1).normal(size=(6, 5, 4))
    before = x.copy()
    for view in (x, x[::2, :, ::-1], x.T, x[:0], x[0, 0, 0]):
        got = erf(np.asarray(view))
        assert got.shape == view.shape
        wanted = [erf(np.array([value]))[0] for value in np.ravel(view)]
        np.testing.assert_array_equal(np.ravel(got), wanted)
    np.testing.assert_array_equal(x, before)
