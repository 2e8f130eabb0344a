# SPDX-License-Identifier: Apache-2.0
"""Real images whose preprocessing is another than that of the calibration images."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from support.graphs import DIGITS, integer_vit

import hlsgen
from hlsgen.design import Design
from hlsgen.errors import ClippedInput, QuantizationWarning
from hlsgen.ops import IntegerLinear


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
        f"{share:.1%} of the pixels are clipped, in 2 of 2 images: they lie outside -2..1.984, the range of "
        "the calibration images; give the images the same preprocessing (0..1 or 0..255, mean, deviation)"
    )


def test_the_calibration_images_range_is_told_nothing_about(design: Design) -> None:
    real = np.linspace(-128.5 / 64, np.nextafter(127.5 / 64, 0), 64).reshape(1, *DIGITS.image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design.predict(real)


def test_an_output_that_no_image_changes_is_told(design: Design) -> None:
    """The head's weights are zero; equal images may have equal outputs."""
    head = design.graph.node("head")
    assert isinstance(head.op, IntegerLinear)
    dead = replace(head, op=replace(head.op, weight=np.zeros_like(head.op.weight)))
    nodes = tuple(dead if node.name == "head" else node for node in design.graph)
    broken = replace(design, graph=replace(design.graph, nodes=nodes))
    real = np.random.default_rng(2).uniform(0, 1, (3, *DIGITS.image))
    with pytest.warns(QuantizationWarning) as warned:
        broken.predict(real)
    (only,) = warned
    assert str(only.message) == (
        "the output is the same for all 3 images; try calibration images that differ, or another observer "
        "for the tensors of the lowest centred dB in the report"
    )
    assert only.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        broken.predict(np.repeat(real[:1], 3, axis=0))
        broken.predict(real[:1])
        design.predict(real)
