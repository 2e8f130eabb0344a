# SPDX-License-Identifier: Apache-2.0
"""Attention with biases and hidden keys: golden = C++ = RTL, every tensor, stalled and not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.executions import check_cpp, check_rtl
from support.token_graphs import integers

from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.sim import cosim

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
    check_rtl(graph, image, _lowered(kind, size, shape), tmp_path, within=None)


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
    check_cpp(graph, image, _lowered(kind, size, shape), tmp_path)


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
    assert lowered.program.parameters.score_addends
    check_rtl(graph, image, lowered, tmp_path, within=None)
