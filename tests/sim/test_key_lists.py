# SPDX-License-Identifier: Apache-2.0
"""Attention by key lists: golden = C++ = RTL, every tensor, stalled and not, and the cycle model."""

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

CASES = [
    ((48, 8, 2), (2, 4, 2, 2)),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ((96, 16, 2), (4, 4, 4, 1)),
            ((96, 16, 2), (4, 4, 4, 2)),
            ((90, 18, 3), (3, 8, 2, 1)),
            ((97, 16, 2), (4, 4, 8, 4)),
            ((61, 24, 2), (4, 8, 16, 2)),
        )
    ),
]


def _lowered(size: tuple[int, ...], shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, ring_bytes=512)
    lowered = lower(integers("scattered", *size)[0], array)
    assert any(command.key_runs for command in lowered.program.commands)
    return lowered


@pytest.mark.parametrize(("size", "shape"), CASES)
def test_rtl(size: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers("scattered", *size)
    lowered, golden = _lowered(size, shape), evaluate(graph, image)
    program = lowered.program
    pixels = program.input.pack(image, shape[1])
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
        (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory)
        cosim.check(program, run, golden)
        if not memory.stall:
            predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=4)).cycles
            assert predicted == pytest.approx(run.counters["cycles"], rel=0.001)


@pytest.mark.parametrize(("size", "shape"), CASES)
def test_cpp(size: tuple[int, ...], shape: tuple[int, ...], cpp_folder: Path) -> None:
    graph, image = integers("scattered", *size)
    lowered = _lowered(size, shape)
    program = lowered.program
    cpp = CSim(
        program, lowered.image.pack(), hls(program, lowered.image), cpp_folder,
        tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",),
    )  # fmt: skip
    assert compare(program, cpp.run(image[None]).records[0], evaluate(graph, image)) is None
