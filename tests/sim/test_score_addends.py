# SPDX-License-Identifier: Apache-2.0
"""Attention with biases and hidden keys: golden = C++ = RTL, every tensor, stalled and not."""

from __future__ import annotations

import dataclasses
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
    ("masked", (9, 16, 2), (4, 4, 4, 2)),
    ("ranges", (33, 16, 4), (4, 4, 4, 2)),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("masked", (13, 18, 3), (5, 8, 2, 1)),
            ("masked", (1, 8, 1), (1, 1, 1, 1)),
            ("masked", (9, 16, 2, 8), (4, 4, 4, 2)),
            ("masked", (9, 16, 2, 12), (2, 4, 4, 1)),
            ("ranges", (40, 16, 4), (3, 8, 2, 1)),
            ("ranges", (40, 24, 2), (4, 4, 8, 4)),
            ("masked", (13, 24, 3), (4, 64, 4, 4)),
            ("masked_tasks", (9, 16, 2), (4, 4, 4, 1)),
            ("masked_tasks", (9, 16, 2), (4, 4, 4, 4)),
        )
    ),
]


def _lowered(kind: str, size: tuple[int, ...], shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, ring_bytes=512)
    lowered = lower(integers(kind, *size)[0], array)
    assert any(command.score_addends for command in lowered.program.commands)
    return lowered


@pytest.mark.parametrize(("kind", "size", "shape"), CASES)
def test_rtl(kind: str, size: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers(kind, *size)
    lowered = _lowered(kind, size, shape)
    program = lowered.program
    pixels = program.input.pack(image, shape[1])
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    for task in range(graph.tasks):
        golden = evaluate(graph, image, task)
        for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
            (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory, task=task)
            cosim.check(program, run, golden, task)


@pytest.mark.slow
@pytest.mark.parametrize("latency", [4, 40])
def test_the_cycle_model_knows_what_addends_wait_for(latency: int, tmp_path: Path) -> None:
    """At 4 bytes a cycle the addends of a block take longer than its products."""
    graph, image = integers("masked", 40, 32, 2)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=8, bus_bytes=4))
    harness = cosim.build(lowered.program.parameters, tmp_path)
    pixels = lowered.program.input.pack(image, 4)
    (run,) = harness.run(lowered.image.pack(), [pixels], memory=cosim.MemoryTiming(latency=latency))
    predicted = cycles.predict(lowered.program, lowered.image, ExternalMemory(latency=latency)).cycles
    assert predicted == pytest.approx(run.counters["cycles"], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "size", "shape"), [case.values if hasattr(case, "values") else case for case in CASES]
)
def test_cpp(kind: str, size: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers(kind, *size)
    lowered = _lowered(kind, size, shape)
    program, packed = lowered.program, lowered.image.pack()
    text = hls(program, lowered.image)
    cpp = CSim(program, packed, text, tmp_path, tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",))
    for task in range(graph.tasks):
        records = cpp.run(image[None], task=task).records[0]
        assert compare(program, records, evaluate(graph, image, task), task) is None


@pytest.mark.slow
@pytest.mark.parametrize("other", ["experts", "streamed"])
def test_rtl_with_other_options(other: str, tmp_path: Path) -> None:
    """DRAIN's pipeline is longer with experts; keys come from outside where attention is streamed."""
    graph, image = integers("ranges", 33, 16, 4)
    array = ArrayShape(rows=4, columns=4, depth=4, ring_bytes=512)
    if other == "streamed":
        lowered = lower(graph, dataclasses.replace(array, streamed=True, span=2))
        assert lowered.program.parameters.streamed
    else:
        own = lower(graph, array).program.parameters
        lowered = lower(graph, array, dataclasses.replace(own, experts=4, choices=2, queue_tokens=33))
    program = lowered.program
    assert program.parameters.score_addends
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    pixels = program.input.pack(image, 4)
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
        (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory)
        cosim.check(program, run, evaluate(graph, image))
