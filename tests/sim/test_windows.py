# SPDX-License-Identifier: Apache-2.0
"""Attention by windows: golden = C++ = RTL, every tensor, stalled and not, at row widths; the cycle model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.token_graphs import integers

from hlsgen.emit.hls import hls
from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run.trace import compare
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim

SIZE = (54, 16, 2)
SHAPES = [
    (4, 4, 8, 2),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((4, 4, 4, 1), (3, 8, 2, 1), (4, 8, 4, 4))),
]


def _lowered(shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, bus_bytes=4)
    lowered = lower(integers("windows", *SIZE)[0], array)
    p = lowered.program.parameters
    assert (p.windows, p.score_slots) == (1, 3)
    assert p.addend_words > 1
    assert any(command.kept_addends for command in lowered.program.commands)
    return lowered


@pytest.mark.parametrize("shape", SHAPES)
def test_rtl(shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers("windows", *SIZE)
    lowered, golden = _lowered(shape), evaluate(graph, image)
    program = lowered.program
    shown = {view.tensor for view in program.views}
    assert {node.name for node in graph if node.type.shape[-1] == SIZE[0]} <= shown
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
        (run,) = harness.run(lowered.image.pack(), [program.input.pack(image, shape[1])], memory=memory)
        cosim.check(program, run, golden)
        if not memory.stall:
            predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=4)).cycles
            assert predicted == pytest.approx(run.counters["cycles"], rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_cpp(shape: tuple[int, ...], cpp_folder: Path) -> None:
    graph, image = integers("windows", *SIZE)
    lowered = _lowered(shape)
    program = lowered.program
    cpp = CSim(
        program, lowered.image.pack(), hls(program, lowered.image), cpp_folder,
        tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",),
    )  # fmt: skip
    assert compare(program, cpp.run(image[None]).records[0], evaluate(graph, image)) is None
