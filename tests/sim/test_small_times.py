# SPDX-License-Identifier: Apache-2.0
"""Small Graphs in RTL, where every wait counts: the cycle model is right to some cycles."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz.batch import Batch
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.sim import cosim


@pytest.mark.parametrize(
    ("number", "most", "planned"),
    [(0, 12, False), pytest.param(1, 30, True, marks=pytest.mark.slow)],
    ids=["one task", "tasks"],
)
def test_small_graphs_take_the_predicted_time(number: int, most: int, planned: bool, tmp_path: Path) -> None:
    """Ops in any order, on one machine: within 1 % or `most` cycles, and in the middle within 0.5 %."""
    found = [case for case in Batch(5, number, True).cases() if case.lowered]
    assert found[0].lowered
    parameters = found[0].lowered.program.parameters
    assert parameters.planned == planned
    harness, errors = cosim.build(parameters, tmp_path, quick=True), []
    for case in found:
        assert case.lowered
        assert case.images is not None
        program, image = case.lowered.program, case.lowered.image
        pixels = program.input.pack(case.images[0], parameters.columns)
        (run,) = harness.run(image.pack(), [pixels], memory=cosim.MemoryTiming(latency=32))
        cycles, wanted = predict(program, image, ExternalMemory(latency=32)).cycles, run.counters["cycles"]
        assert abs(cycles - wanted) <= max(most, wanted / 100), (case.index, cycles, wanted)
        errors.append(abs(cycles / wanted - 1))
    assert sorted(errors)[len(errors) // 2] <= 0.005
