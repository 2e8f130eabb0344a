# SPDX-License-Identifier: Apache-2.0
"""Each system of `examples/attention`: its float Graph is the model, its integers run on a small array."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.systems import SYSTEMS, pictures, system

from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize

ROUNDED = 3e-7
"""Of the largest result: a model computes constants in float32, and processors differ in the last place."""
CALIBRATION = 32
PAGE = Path(__file__).resolve().parents[2] / "docs/systems.md"
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (\d+) \|", re.MULTILINE)
"""An example's row on the page: its name, the system, how many tensors its integer Graph has."""


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_is_equal_in_floats_and_in_integers(name: str) -> None:
    model, images = system(name), pictures(CALIBRATION)
    graph = capture(model, images[:1])
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.from_numpy(images[:4]).double()).numpy()
    found = evaluate(graph, images[:4])[graph.output].reshape(wanted.shape)
    assert wanted.std(0).min() > 1e-2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDED * np.abs(wanted).max())
    quantized = quantize(graph, images)
    tensors = dict(ROW.findall(PAGE.read_text()))
    assert len(quantized.graph.nodes) == int(tensors[name]), "python -m benchmarks.systems --write"
    held_out = pictures(16, seed=4)
    real = evaluate(graph, held_out)[graph.output]
    integers = quantize_images(held_out, quantized.graph.input_type)
    scale = quantized.graph.type_of(quantized.graph.output).scale or 1.0
    error = evaluate(quantized.graph, integers)[quantized.graph.output] * scale - real
    for shown in (real, real - real.mean(0)):
        noise = error if shown is real else error - error.mean(0)
        decibels = 10 * np.log10((shown**2).sum() / (noise**2).sum())
        print(f"{name}: {decibels:.1f} dB")
        assert decibels >= 25
    lowered = lower(quantized.graph, ArrayShape(rows=8, columns=8, depth=8, ring_bytes=2048))
    program = lowered.program
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(integers[0], 8))
    assert trace.compare(program, run.records, evaluate(quantized.graph, integers[0])) is None
