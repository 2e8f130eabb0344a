# SPDX-License-Identifier: Apache-2.0
"""Strokes to images: the bitmap's squares, the place of a drawing, and what is no drawing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hlsgen.demo.drawing import BITMAP, EDGE, MOST_POINTS, PEN, image_of
from hlsgen.demo.strokes import DIGITS
from hlsgen.errors import UsageError


def slow(strokes: list[list[list[float]]]) -> np.ndarray:
    """Pixel by pixel: ink where a point of a finely cut stroke is no farther than the pen's radius."""
    points = np.array([point for stroke in strokes for point in stroke])
    low, high = points.min(0), points.max(0)
    scale = (BITMAP - 1 - 2 * PEN) / max(high - low)
    image = np.full((1, EDGE, EDGE), -1.0)
    cut = [
        ((np.array(a) * (1 - t) + np.array(b) * t) - (low + high) / 2) * scale + (BITMAP - 1) / 2
        for stroke in strokes
        for a, b in pairwise(stroke)
        for t in np.linspace(0, 1, 400)
    ]
    for y in range(BITMAP):
        for x in range(BITMAP):
            if np.hypot(*(np.array(cut) - [x, y]).T).min() <= PEN + 1e-6:
                image[0, y // 4, x // 4] += 1 / 8
    return image


@pytest.mark.parametrize("digit", [1, 4, 8])
def test_the_image_is_ink_counted_in_squares(digit: int) -> None:
    """But for pixels at the pen's very edge, where rounding decides."""
    off = np.abs(image_of(DIGITS[digit]) - slow(DIGITS[digit])) * 8
    assert off.max() <= 2.01
    assert off.sum() < 10


def test_place_and_size_of_a_drawing_do_not_matter() -> None:
    moved = [[[3.0 * x + 40.0, 3.0 * y - 7.0] for x, y in stroke] for stroke in DIGITS[5]]
    assert np.abs(image_of(moved) - image_of(DIGITS[5])).sum() * 8 < 6  # pixels at the pen's very edge


def test_a_dot_is_a_drawing() -> None:
    image = image_of([[[0.3, 0.3]]])
    assert image.shape == (1, EDGE, EDGE)
    assert image[0, 3:5, 3:5].min() > -1.0
    assert (image[0, :3] == -1.0).all()


POINTS = "a stroke must be a list of points, each of two numbers within a million of zero"


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([], "at least one stroke is needed"),
        ([[]], "at least one stroke is needed"),
        ([[[1.0]]], POINTS),
        ([[[1.0, "x"]]], POINTS),
        ([[[1.0, float("nan")]]], POINTS),
        ([[[1e9, 0.0]]], POINTS),
        ([[[0.0, 0.0]] * (MOST_POINTS + 1)], f"a drawing must have at most {MOST_POINTS} points"),
    ],
)  # fmt: skip
def test_what_is_no_drawing_is_refused(strokes: list[list[list[float]]], message: str) -> None:
    with pytest.raises(UsageError) as error:
        image_of(strokes)
    assert str(error.value) == message
