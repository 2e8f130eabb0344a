# SPDX-License-Identifier: Apache-2.0
"""Small Graphs in RTL, where every wait counts: the cycle model is right to some cycles."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz.batch import Batch
from benchmarks.fuzz.times import report, times

CYCLES = 8
"""Less than a pipeline is long: what the model may be wrong by where 1 % is still less."""


@pytest.mark.parametrize(
    ("batch", "planned"),
    [
        pytest.param(Batch(5, 0, True), False, id="one task"),
        pytest.param(Batch(1, 2, True), True, id="experts on a narrow bus", marks=pytest.mark.slow),
        pytest.param(Batch(5, 1, True), True, id="tasks on a wide bus", marks=pytest.mark.slow),
        pytest.param(Batch(1, 1, False, True), False, id="integer Graphs", marks=pytest.mark.slow),
    ],
)
def test_small_graphs_take_the_predicted_time(batch: Batch, planned: bool, tmp_path: Path) -> None:
    """Ops in any order, on one machine: within 1 % or some cycles, and in the middle within one cycle."""
    lowered = next(case.lowered for case in batch.cases() if case.lowered)
    assert lowered.program.parameters.planned == planned
    found = times(batch, tmp_path)
    for time in found:
        assert abs(time.predicted - time.cycles) <= max(CYCLES, time.cycles / 100), report(found)
    assert sorted(abs(time.predicted - time.cycles) for time in found)[len(found) // 2] <= 1, report(found)
