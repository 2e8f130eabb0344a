# SPDX-License-Identifier: Apache-2.0
"""Patches against loops over patches, channels, rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ops import slow

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType
from hlsgen.ops import (
    Patches,
)


@pytest.mark.parametrize(
    ("image", "patch", "prefix"),
    [((1, 8, 8), (2, 2), 1), ((2, 9, 6), (3, 2), 0), ((3, 4, 4), (4, 4), 2), ((1, 1, 1), (1, 1), 0)],
)
def test_patches(image: tuple[int, int, int], patch: tuple[int, int], prefix: int) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (2, *image))
    op = Patches(patch=patch, prefix=prefix)
    got = op.golden(x)
    assert got.tolist() == [slow.patches(one, patch, prefix) for one in x.tolist()]
    np.testing.assert_array_equal(op.reference(x.astype(float)), got)
    assert op.infer(TensorType(image, -5, 127, 0.5)) == TensorType(got.shape[1:], -5, 127, 0.5)
    assert op.infer(TensorType(image, 1, 127, 0.5)).low == 0


@pytest.mark.parametrize(
    ("patch", "stride", "padding"),
    [
        ((4, 3), (4, 3), (0, 1, 2, 3)),
        ((3, 2), (2, 1), (2, 0, 0, 1)),
        ((2, 5), (3, 4), (-1, 2, 1, -2)),
        ((3, 3), (5, 5), (-2, -1, 0, -3)),
    ],
)
def test_each_side_has_its_padding(patch: Any, stride: Any, padding: Any) -> None:
    """As torch pads, cuts and unfolds."""
    x = np.random.default_rng(0).integers(-128, 128, (2, 11, 12))
    top, bottom, left, right = padding
    around = torch.nn.functional.pad(torch.from_numpy(x)[None].double(), (left, right, top, bottom))
    wanted = torch.nn.functional.unfold(around, patch, stride=stride)[0].T.numpy()
    np.testing.assert_array_equal(Patches(patch=patch, stride=stride, padding=padding).golden(x), wanted)


def test_an_image_must_hold_a_patch() -> None:
    with pytest.raises(TypeMismatch, match="must be"):
        Patches(patch=(9, 2)).infer(TensorType((1, 8, 8)))
    assert Patches(patch=(9, 2), padding=(1, 1, 0, 0)).infer(TensorType((1, 8, 8))).shape == (4, 18)
