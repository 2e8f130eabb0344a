# SPDX-License-Identifier: Apache-2.0
"""Fingerprints tell tensors apart, whatever order, sign or factor their elements have."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.quantizers import Quantizer, fingerprint, probe


def test_order_shape_and_sign_do_not_count() -> None:
    values = np.random.default_rng(0).normal(size=(6, 8))
    one, other = fingerprint(values), fingerprint(-values.T.reshape(4, 12))
    assert one is not None
    assert other is not None
    assert one.factor(other) == 1.0


def test_a_factor_is_found() -> None:
    values = np.random.default_rng(0).normal(size=100)
    one, other = fingerprint(values * 0.125), fingerprint(values)
    assert one is not None
    assert other is not None
    assert one.factor(other) == pytest.approx(0.125)


@pytest.mark.parametrize("change", [lambda x: x + 0.01, lambda x: x[:-1], lambda x: np.where(x > 2, 2, x)])
def test_other_tensors_differ(change: object) -> None:
    values = np.random.default_rng(0).normal(size=1000)
    one, other = fingerprint(change(values)), fingerprint(values)  # type: ignore[operator]
    assert one is not None
    assert other is not None
    assert one.factor(other) is None


@pytest.mark.parametrize("values", [np.zeros(4), np.array([1.0, -np.inf]), np.zeros(0)])
def test_what_tells_nothing(values: np.ndarray) -> None:
    assert fingerprint(values) is None


def test_widths() -> None:
    widths = {(-128, 127): 8, (-127, 127): 8, (0, 255): 8, (-8, 7): 4, (-32768, 32767): 16}
    assert {key: Quantizer("a", "a", 1.0, 0, *key).bits for key in widths} == widths
    assert str(Quantizer("a", "a", 0.5, 3, 0, 255)) == "scale 0.5, zero point 3, integers 0..255"


def test_the_probe_is_always_the_same() -> None:
    assert np.array_equal(probe((1, 4, 4)), probe((1, 4, 4)))
    assert probe((2, 3, 5)).shape == (1, 2, 3, 5)
