# SPDX-License-Identifier: Apache-2.0
"""The shipped models, quantized, through the C++: every tensor of every held-out image equals golden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import hlsgen
from hlsgen.emit.hls import hls
from hlsgen.examples.digits import data, model
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.sim.csim import CSim

Labelled = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize(
    ("build", "calibration", "held_out", "array", "sanitize"),
    [
        (model.digits, data.calibration, data.heldout, (4, 4, 8), False),
        (model.awkward, data.awkward_calibration, data.awkward_data, (8, 16, 8), True),
    ],
    ids=["digits", "awkward"],
)
def test_all_held_out_images_equal_golden(
    build: Callable,
    calibration: Callable[[], Labelled],
    held_out: Callable[[], Labelled],
    array: tuple[int, int, int],
    sanitize: bool,
    cpp_folder: Path,
) -> None:
    images, _ = calibration()
    graph = hlsgen.quantize(hlsgen.capture(build().eval(), images[:1]), images).graph
    rows, columns, depth = array
    result = lower(graph, ArrayShape(rows=rows, columns=columns, depth=depth))
    inputs = quantize_images(held_out()[0], graph.input_type)
    files = hls(result.program, result.image)
    machine = CSim(result.program, result.image.pack(), files, cpp_folder, tracing=True, sanitize=sanitize)
    got = machine.run(inputs, seconds=60)
    golden = evaluate(graph, inputs)
    np.testing.assert_array_equal(got.outputs, golden[graph.output])
    for index, records in enumerate(got.records):
        expected = {name: value[index] for name, value in golden.items()}
        assert trace.compare(result.program, records, expected) is None
