# SPDX-License-Identifier: Apache-2.0
"""Ten digits as strokes: the page's buttons draw them, tests too."""

from __future__ import annotations

import math


def _arc(
    x: float, y: float, wide: float, high: float, begin: float, end: float, points: int = 16
) -> list[list[float]]:
    """Of an ellipse around (x, y); angles in degrees, 0 to the right, 90 downwards."""
    angles = [math.radians(begin + (end - begin) * i / (points - 1)) for i in range(points)]
    return [[round(x + wide * math.cos(a), 3), round(y + high * math.sin(a), 3)] for a in angles]


DIGITS: tuple[list[list[list[float]]], ...] = (
    [_arc(0.5, 0.5, 0.3, 0.45, -90, 270, 24)],
    [[[0.35, 0.25], [0.52, 0.08], [0.52, 0.95]]],
    [[*_arc(0.5, 0.3, 0.26, 0.24, -170, 40), [0.25, 0.95], [0.8, 0.95]]],
    [[*_arc(0.47, 0.28, 0.25, 0.22, -150, 90), *_arc(0.47, 0.72, 0.28, 0.24, -90, 150)]],
    [[[0.5, 0.05], [0.2, 0.6], [0.8, 0.6]], [[0.6, 0.4], [0.55, 0.98]]],
    [[[0.75, 0.06], [0.35, 0.06], [0.3, 0.45], *_arc(0.48, 0.67, 0.27, 0.27, -120, 150)]],
    [[[0.6, 0.05], [0.35, 0.4], *_arc(0.5, 0.7, 0.22, 0.25, -180, 180, 24)]],
    [[[0.22, 0.08], [0.78, 0.08], [0.45, 0.95]], [[0.32, 0.52], [0.72, 0.52]]],
    [[*_arc(0.5, 0.28, 0.2, 0.22, 90, 450, 20), *_arc(0.5, 0.73, 0.24, 0.23, -90, 270, 20)]],
    [[*_arc(0.5, 0.32, 0.24, 0.26, 0, 360, 20), [0.72, 0.4], [0.66, 0.75], [0.4, 0.95]]],
)
"""Strokes of each digit, in a square of edge 1."""
