# SPDX-License-Identifier: Apache-2.0
"""From strokes to an image, as the digits data set was made: a bitmap, then ink counted in squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hlsgen.errors import UsageError

BITMAP, EDGE = 32, 8
"""Pixels of the bitmap's edge, and of the image's."""
PEN = 2.0
"""Radius of the pen, in pixels of the bitmap: strokes of scikit-learn's digits are about four wide."""
EDGE_SLACK = 1e-6
"""A level line at the bitmap's edge is a radius away from the last pixels: rounding must not decide."""
MOST_POINTS = 4096
"""Of a drawing; a hand makes some hundred."""
Stroke = Sequence[Sequence[float]]


def image_of(strokes: Sequence[Stroke]) -> np.ndarray:
    """The image [1, 8, 8] within -1..1 of strokes, each a list of points (x, y) in any unit, y downwards.

    The drawing fills the bitmap's height, or its width where it is wide, and stands in the middle: so the
    digits of the data set do. Raises `UsageError` for what is no drawing.
    """
    places = [_points(stroke) for stroke in strokes if len(stroke)]
    if not places:
        raise UsageError("at least one stroke is needed")
    if sum(map(len, places)) > MOST_POINTS:
        raise UsageError(f"a drawing must have at most {MOST_POINTS} points")
    everything = np.concatenate(places)
    low, high = everything.min(0), everything.max(0)
    size = float((high - low).max())
    scale = (BITMAP - 1 - 2 * PEN) / size if size else 0.0
    middle = (BITMAP - 1) / 2
    ink = np.zeros((BITMAP, BITMAP), bool)
    for points in places:
        fitted = (points - (low + high) / 2) * scale + middle
        for begin, end in zip(fitted, fitted[1:] if len(fitted) > 1 else fitted, strict=False):
            ink |= _distance(begin, end) <= PEN + EDGE_SLACK
    square = BITMAP // EDGE
    counted = ink.reshape(EDGE, square, EDGE, square).sum((1, 3))
    return (counted[None] / (square * square / 2) - 1.0).astype(np.float32)


def _points(stroke: Stroke) -> np.ndarray:
    """[points, 2] of a stroke."""
    try:
        points = np.asarray(stroke, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.shape != (len(points), 2) or not np.isfinite(points).all() or abs(points).max() > 1e6:
        raise UsageError("a stroke must be a list of points, each of two numbers within a million of zero")
    return points


def _distance(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of each pixel from a straight line between two points."""
    y, x = np.mgrid[:BITMAP, :BITMAP]
    pixels, way = np.stack([x, y], -1) - begin, end - begin
    length = float(way @ way)
    along = np.clip(pixels @ way / length, 0.0, 1.0) if length else np.zeros(pixels.shape[:2])
    return np.linalg.norm(pixels - along[..., None] * way, axis=-1)
