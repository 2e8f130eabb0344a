# SPDX-License-Identifier: Apache-2.0
"""Tokens in other orders, by run lists: golden = C++ = RTL, every tensor, stalled and not, at row widths."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.executions import MEMORIES, check_cpp
from support.token_graphs import integers

from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.sim import cosim

CASES = [
    ((9, 16, 2), (4, 4, 4, 2)),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ((40, 16, 2), (4, 8, 8, 1)),
            ((40, 16, 2), (4, 4, 8, 4)),
            ((1, 8, 1), (1, 1, 1, 1)),
        )
    ),
]


def _lowered(size: tuple[int, int, int], shape: tuple[int, ...]) -> Lowered:
    rows, columns, depth, width = shape
    array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, ring_bytes=512)
    lowered = lower(integers("merging", *size)[0], array)
    assert sum(command.list_base > 0 for command in lowered.program.commands) == 6
    return lowered


@pytest.mark.parametrize(("size", "shape"), CASES)
def test_rtl(size: tuple[int, int, int], shape: tuple[int, ...], tmp_path: Path) -> None:
    """The cycle model holds to the cycle, from the first reader of a list on."""
    graph, image = integers("merging", *size)
    lowered, golden = _lowered(size, shape), evaluate(graph, image)
    program = lowered.program
    pixels = program.input.pack(image, shape[1])
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    for memory in MEMORIES:
        (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory)
        cosim.check(program, run, golden)
        if memory.stall or run.records is None:
            continue
        predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=memory.latency))
        ends = {job.command: job.drain_end for job in predicted.jobs}
        measured = {n: int(run.records["cycle"][run.records["command"] == n].max()) for n in ends}
        first, last = min(ends), max(ends)
        assert measured[last] - measured[first] == pytest.approx(ends[last] - ends[first], abs=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "shape"), [case.values if hasattr(case, "values") else case for case in CASES]
)
def test_cpp(size: tuple[int, int, int], shape: tuple[int, ...], tmp_path: Path) -> None:
    graph, image = integers("merging", *size)
    check_cpp(graph, image, _lowered(size, shape), tmp_path)
