# SPDX-License-Identifier: Apache-2.0
"""Real images whose preprocessing is another than that of the calibration images."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.graphs import DIGITS, integer_vit

import hlsgen
from hlsgen.design import Design
from hlsgen.errors import ClippedInput


@pytest.fixture(scope="module")
def design() -> Design:
    return hlsgen.compile(integer_vit(DIGITS), array=(2, 2, 2))


@pytest.mark.parametrize("factor", [10, 255])
@pytest.mark.parametrize("call", ["predict", "quantize_input", "trace"])
def test_clipped_pixels_are_told(design: Design, call: str, factor: int) -> None:
    real = np.random.default_rng(2).uniform(0, 1, (2, *DIGITS.image))
    share = (real * factor >= 127.5 / 64).mean()
    with pytest.warns(ClippedInput) as warned:
        getattr(design, call)(real * factor)
    (only,) = warned
    assert str(only.message) == (
        f"{share:.1%} of the pixels are clipped: they lie outside -2..1.984, the range of the calibration "
        "images; give the images the same preprocessing (0..1 or 0..255, mean, deviation)"
    )


def test_the_calibration_images_range_is_told_nothing_about(design: Design) -> None:
    real = np.linspace(-128.5 / 64, np.nextafter(127.5 / 64, 0), 64).reshape(1, *DIGITS.image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design.predict(real)
