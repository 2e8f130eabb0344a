# SPDX-License-Identifier: Apache-2.0
"""Gather: tokens in any order, side by side, zeros."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import Gather
from hlsgen.ops.gather import after

INT16 = TensorType((5, 3), 2, 9, 0.5)


def test_gather() -> None:
    x = np.arange(30).reshape(2, 5, 3) + 1
    op = Gather(places=np.array([[4, 0], [-1, 1], [2, 2]]))
    wanted = [
        [[0, 0, 0] if place < 0 else list(image[place]) for place in row] for image in x for row in op.places
    ]
    assert op.golden(x).reshape(6, 2, 3).tolist() == wanted
    np.testing.assert_array_equal(op.reference(x * 0.5), op.golden(x) * 0.5)
    assert op.infer(INT16) == TensorType((3, 6), 0, 9, 0.5)
    assert Gather(places=np.array([[4]])).infer(INT16) == TensorType((1, 3), 2, 9, 0.5)
    assert op.infer(TensorType((5, 3))).shape == (3, 6)


def test_one_gather_behind_another() -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 100, (7, 3))
    first, second = random.integers(-1, 7, (4, 2)), random.integers(-1, 4, (6, 3))
    both = Gather(places=second).golden(Gather(places=first).golden(x))
    np.testing.assert_array_equal(Gather(places=after(first, second)).golden(x), both)


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ([[5]], "places must be -1 or in 0..4, not 5..5"),
        ([[-2]], "places must be -1 or in 0..4, not -2..-2"),
        ([1, 2], r"gather: places \(2,\) of \(5, 3\) must be integers"),
        ([[0.5]], "must be integers"),
        ([[]], "must be integers"),
    ],
)
def test_refused(places: list[object], text: str) -> None:
    with pytest.raises(TypeMismatch, match=text):
        Gather(places=np.array(places)).infer(INT16)
