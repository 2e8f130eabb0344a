# SPDX-License-Identifier: Apache-2.0
"""The examples in RTL, on one machine that holds them all: every tensor, with and without stalls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.systems.measure import ARRAY, quantized
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import joint
from hlsgen.lower.sizer import Sizer
from hlsgen.sim import cosim

HARNESS = Path("build/benchmarks")
TIMINGS = (cosim.MemoryTiming(latency=64), cosim.MemoryTiming(latency=20, stall=0.3))


def cycles(names: Sequence[str]) -> Iterator[str]:
    """A line for each example; raises `Mismatch` where a tensor differs from golden."""
    models = {name: quantized(name) for name in names}
    machine = joint([Sizer(graph).parameters(ARRAY) for graph, _, _ in models.values()])
    harness = cosim.build(machine, HARNESS, trace=True)
    for name, (graph, images, _) in models.items():
        lowered, golden = lower(graph, ARRAY, machine), evaluate(graph, images[0])
        pixels, counted = lowered.program.input.pack(images[0], ARRAY.columns), []
        for timing in TIMINGS:
            (answer,) = harness.run(lowered.image.pack(), [pixels], memory=timing)
            cosim.check(lowered.program, answer, golden, 0)
            counted.append(f"{answer.counters['cycles']:,}")
        yield f"{name}: {' cycles, stalled '.join(counted)} cycles, every tensor equal in RTL"
