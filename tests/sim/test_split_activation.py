# SPDX-License-Identifier: Apache-2.0
"""An activation whose outlying channels stand apart: golden = C++ = RTL, every tensor, stalled and not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.outliers import far_images, far_mlp

from hlsgen.emit.hls import hls
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run.trace import compare
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.quantization import quantize
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim

ARRAY = ArrayShape(rows=4, columns=4, depth=4, ring_bytes=4096, row_width=2)


@cache
def _model() -> tuple[Graph, np.ndarray]:
    """With layers that the quantizer split; an image."""
    graph = quantize(far_mlp(9.0), far_images()).graph
    assert {"fc1_outliers", "gelu_outliers", "fc2_outliers"} <= {node.name for node in graph}
    return graph, quantize_images(far_images(1, seed=4), graph.input_type)[0].astype(np.int64)


def test_rtl(tmp_path: Path) -> None:
    """The cycle model knows the commands of narrow layers."""
    (graph, image), lowered = _model(), lower(_model()[0], ARRAY)
    golden, program = evaluate(graph, image), lowered.program
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
        (run,) = harness.run(lowered.image.pack(), [program.input.pack(image, 4)], memory=memory)
        cosim.check(program, run, golden)
        if not memory.stall:
            predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=4)).cycles
            assert predicted == pytest.approx(run.counters["cycles"], rel=0.01)


def test_cpp(cpp_folder: Path) -> None:
    (graph, image), lowered = _model(), lower(_model()[0], ARRAY)
    program = lowered.program
    cpp = CSim(
        program, lowered.image.pack(), hls(program, lowered.image), cpp_folder,
        tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",),
    )  # fmt: skip
    assert compare(program, cpp.run(image[None]).records[0], evaluate(graph, image)) is None
