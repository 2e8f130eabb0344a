# SPDX-License-Identifier: Apache-2.0
"""Layers and norms that change no integer: every one of 8 bits, in rows as they are worst."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.ir import TensorType
from hlsgen.ops import IntegerGroupedLinear
from hlsgen.ops.exact import dense, identity, unit_norm

EVERY = np.arange(-128, 128)


@pytest.mark.parametrize(("groups", "span"), [(1, (-128, 127)), (4, (-128, 127)), (2, (-3, 90))])
def test_an_identity(groups: int, span: tuple[int, int]) -> None:
    kind = TensorType((3, 256), *span, 0.5)
    op = identity(kind, groups)
    assert op.infer(kind) == kind
    np.testing.assert_array_equal(op.golden(EVERY[None]), np.clip(EVERY[None], *span))


def test_a_grouped_layer_as_a_dense_one() -> None:
    random = np.random.default_rng(2)
    op = IntegerGroupedLinear(
        groups=3, weight=random.integers(-127, 128, (6, 4)), bias=random.integers(-99, 99, 6),
        multiplier=random.integers(1 << 14, 1 << 15, 6), shift=np.full(6, 18), low=-32768, high=32767,
        scale=1.0,
    )  # fmt: skip
    rows = random.integers(-128, 128, (50, 12))
    np.testing.assert_array_equal(dense(op).golden(rows), op.golden(rows))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 16, 192, 768, 1000, 4095, 4096])
def test_a_norm_that_gives_rows_as_they_are(width: int) -> None:
    """Rows whose other elements are all zero, and all -128: the most and the least that it divides by."""
    op = unit_norm(width)
    kind = TensorType((1, width), -128, 127, 1.0)
    assert op.infer(kind).integer_range == (-128, 127)
    for rest in (0, -128):
        rows = np.full((256, width), rest)
        rows[:, 0] = EVERY
        np.testing.assert_array_equal(op.golden(rows), rows)
