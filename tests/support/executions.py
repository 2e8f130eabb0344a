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
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim


def check_rtl(
    graph: Graph, image: np.ndarray, lowered: Lowered, folder: Path, *, within: float = 0.01
) -> None:
    """within: the share of its cycles by which the cycle model may be off."""
    golden, program = evaluate(graph, image), lowered.program
    pixels = program.input.pack(image, program.parameters.columns)
    harness = cosim.build(program.parameters, folder, trace=True, quick=True)
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=23, stall=0.4, seed=7)):
        (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory)
        cosim.check(program, run, golden)
        if not memory.stall:
            predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=4)).cycles
            assert predicted == pytest.approx(run.counters["cycles"], rel=within)


def check_cpp(graph: Graph, image: np.ndarray, lowered: Lowered, folder: Path) -> None:
    """Streams stall at random."""
    program = lowered.program
    cpp = CSim(
        program, lowered.image.pack(), hls(program, lowered.image), folder,
        tracing=True, sanitize=True, flags=("-DHLSGEN_STALLS=7",),
    )  # fmt: skip
    assert compare(program, cpp.run(image[None]).records[0], evaluate(graph, image)) is None
