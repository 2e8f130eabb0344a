# SPDX-License-Identifier: Apache-2.0
"""A model that was quantized elsewhere: golden = C++ = RTL, every tensor."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support.quantized_models import SHAPE, Small, pictures

from hlsgen.emit.hls import hls
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run.trace import compare
from hlsgen.quantization import Quantized, quantize
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim


@pytest.fixture(scope="module")
def made() -> tuple[Quantized, Lowered]:
    graph = capture(Small().eval(), torch.zeros(1, *SHAPE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = quantize(graph, pictures(16))
    array = ArrayShape(rows=4, columns=4, depth=4, row_width=1, ring_bytes=512)
    return quantized, lower(quantized.graph, array)


def test_rtl(made: tuple[Quantized, Lowered], tmp_path: Path) -> None:
    quantized, lowered = made
    image = quantized.quantize_input(pictures(1, seed=3))[0].astype(np.int64)
    program = lowered.program
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    (run,) = harness.run(lowered.image.pack(), [program.input.pack(image, 4)])
    cosim.check(program, run, evaluate(quantized.graph, image))


def test_cpp(made: tuple[Quantized, Lowered], tmp_path: Path) -> None:
    quantized, lowered = made
    image = quantized.quantize_input(pictures(1, seed=3))[0].astype(np.int64)
    program, text = lowered.program, hls(lowered.program, lowered.image)
    flags = ("-DHLSGEN_STALLS=7",)
    cpp = CSim(program, lowered.image.pack(), text, tmp_path, tracing=True, sanitize=True, flags=flags)
    golden = evaluate(quantized.graph, image)
    assert compare(program, cpp.run(image[None]).records[0], golden) is None
