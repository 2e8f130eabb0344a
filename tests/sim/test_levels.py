# SPDX-License-Identifier: Apache-2.0
"""What `simulate` says of outputs that look wrong although every level agrees."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.graphs import TINY, images, integer_vit

import hlsgen
from hlsgen.cli import main
from hlsgen.design import Design
from hlsgen.errors import QuantizationWarning
from hlsgen.ops import IntegerLinear
from hlsgen.store.samples import Samples

IMAGES = 32


@pytest.fixture(scope="module")
def design() -> Design:
    """With the integer model's own logits as the float model's."""
    graph = integer_vit(TINY)
    given = images(TINY, IMAGES).astype(np.int8)
    compiled = hlsgen.compile(graph, array=(2, 2, 2), samples=Samples(given))
    return with_reference(compiled, compiled.logits(given) * compiled.scales()[""])


def with_reference(design: Design, logits: np.ndarray) -> Design:
    return replace(design, samples=Samples(design.samples.images, None, logits))


def off(design: Design, many: int) -> Design:
    """A float model that gives the first `many` images another class, and other logits with it."""
    logits = np.array(design.samples.reference)
    logits[:many] = np.roll(logits[:many], 1, axis=-1)
    return with_reference(design, logits)


def test_few_classes_as_in_float_are_told(design: Design) -> None:
    with pytest.warns(QuantizationWarning) as warned:
        off(design, 9).simulate(samples=IMAGES)
    (only,) = warned
    assert str(only.message) == (
        "the integer model gives the float model's class of only 23 of 32 images; try more calibration "
        "images that are like them, and see `hlsgen report` for the tensors of the lowest centred dB"
    )


def test_agreement_is_not_told(design: Design) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design.simulate(samples=IMAGES)
        off(design, 3).simulate(samples=IMAGES)  # 29 of 32 are usual
        off(design, 9).simulate(samples=9)  # too few to say


def test_one_output_for_all_images_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the call, and as a line of the command line. Equal images may have equal outputs."""
    graph = integer_vit(TINY)
    head = graph.node("head")
    assert isinstance(head.op, IntegerLinear)
    dead = replace(head, op=replace(head.op, weight=np.zeros_like(head.op.weight)))
    nodes = tuple(dead if node.name == "head" else node for node in graph)
    given = images(TINY, 3).astype(np.int8)
    made = hlsgen.compile(replace(graph, nodes=nodes), array=(2, 2, 2), samples=Samples(given))
    said = (
        "the output is the same for all 3 images; try calibration images that differ, or another observer "
        "for the tensors of the lowest centred dB in the report"
    )
    with pytest.warns(QuantizationWarning) as warned:
        made.simulate(samples=3)
    assert [str(item.message) for item in warned] == [said]
    made.save(tmp_path / "build")
    assert main(["simulate", str(tmp_path / "build")]) == 0
    assert capsys.readouterr().err.endswith(f"\nwarning: {said}\n")  # behind the steps
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replace(made, samples=Samples(np.repeat(given[:1], 3, axis=0))).simulate(samples=3)
