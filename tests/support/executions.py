# SPDX-License-Identifier: Apache-2.0
"""A program in RTL and in C++ beside golden: every tensor, stalled and not, and the predicted time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hlsgen.emit.hls import hls
from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered
from hlsgen.machine.run.trace import compare
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim

MEMORIES = (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7))
"""One whose time the cycle model knows, and one that stalls at random."""


def check_rtl(
    graph: Graph, image: np.ndarray, lowered: Lowered, folder: Path, *, within: float | None = 0.01
) -> None:
    """All tasks, on a machine of the program's own.

    within: the share of its cycles by which the cycle model may be off; None does not ask it.
    """
    harness = cosim.build(lowered.program.parameters, folder, trace=True, quick=True)
    check_runs(harness, graph, image, lowered, within=within)


def check_runs(
    harness: cosim.Harness, graph: Graph, image: np.ndarray, lowered: Lowered, *, within: float | None = None
) -> None:
    """All tasks, on a machine that is built already; see `check_rtl`."""
    program = lowered.program
    pixels = program.input.pack(image, program.parameters.columns)
    for task in range(graph.tasks):
        golden = evaluate(graph, image, task)
        for memory in MEMORIES:
            (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory, task=task)
            cosim.check(program, run, golden, task)
            if not memory.stall and within is not None:
                outside, routing = ExternalMemory(latency=memory.latency), Routing(task=task)
                predicted = cycles.predict(program, lowered.image, outside, routing)
                assert predicted.cycles == pytest.approx(run.counters["cycles"], rel=within)


def check_cpp(graph: Graph, image: np.ndarray, lowered: Lowered, folder: Path) -> None:
    """All tasks; streams stall at random."""
    program = lowered.program
    cpp = CSim(
        program, lowered.image.pack(), hls(program, lowered.image), folder,
        tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",),
    )  # fmt: skip
    for task in range(graph.tasks):
        records = cpp.run(image[None], task=task).records[0]
        assert compare(program, records, evaluate(graph, image, task), task) is None
