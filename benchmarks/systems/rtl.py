# SPDX-License-Identifier: Apache-2.0
"""The examples in RTL, on one machine that holds them all: every tensor, with and without stalls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.systems.measure import ARRAY, quantized
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import joint
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.sim import cosim, icarus

HARNESS = Path("build/benchmarks")
TIMINGS = (cosim.MemoryTiming(latency=64), cosim.MemoryTiming(latency=20, stall=0.3))
SIMULATORS = ("verilator", "icarus")

Runs = Callable[[bytes, bytes], Iterator[cosim.Run]]
"""An Image and packed pixels, to the runs of that one picture."""


def cycles(names: Sequence[str], simulator: str = "verilator") -> Iterator[str]:
    """A line for each example; raises `Mismatch` where a tensor differs from golden."""
    models = {name: quantized(name) for name in names}
    machine = joint([Sizer(graph).parameters(ARRAY) for graph, _, _ in models.values()])
    run = _verilator(machine) if simulator == "verilator" else _icarus(machine)
    for name, (graph, images, _) in models.items():
        lowered, golden = lower(graph, ARRAY, machine), evaluate(graph, images[0])
        pixels, counted = lowered.program.input.pack(images[0], ARRAY.columns), []
        for answer in run(lowered.image.pack(), pixels):
            cosim.check(lowered.program, answer, golden, 0)
            counted.append(f"{answer.counters['cycles']:,}")
        yield f"{name}: {' cycles, stalled '.join(counted)} cycles, every tensor equal in {simulator}"


def _verilator(machine: MachineParameters) -> Runs:
    """With each of the memory's timings."""
    harness = cosim.build(machine, HARNESS, trace=True)

    def run(image: bytes, pixels: bytes) -> Iterator[cosim.Run]:
        for timing in TIMINGS:
            yield from harness.run(image, [pixels], memory=timing)

    return run


def _icarus(machine: MachineParameters) -> Runs:
    """Once: it takes minutes."""
    text = rtl_text(machine, trace=True)

    def run(image: bytes, pixels: bytes) -> Iterator[cosim.Run]:
        yield from icarus.run(machine, image, [pixels], HARNESS / "icarus", text=text)

    return run
