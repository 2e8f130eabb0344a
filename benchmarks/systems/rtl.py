# SPDX-License-Identifier: Apache-2.0
"""The examples in C++ and in RTL, on one machine that holds them all: every tensor, with random stalls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import hlsgen.lower
from benchmarks.fuzz.generated import Programs
from benchmarks.systems.measure import ARRAY, quantized
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Mismatch
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import joint
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run import trace
from hlsgen.sim import cosim, icarus

HARNESS = Path("build/benchmarks")
TIMINGS = (cosim.MemoryTiming(latency=64), cosim.MemoryTiming(latency=20, stall=0.3))
SIMULATORS = ("verilator", "icarus")

Runs = Callable[[bytes, bytes], Iterator[cosim.Run]]
"""An Image and packed pixels, to the runs of that one picture."""


class Lowered(NamedTuple):
    """An example on the machine that holds all: its program, its pixels, golden's tensors for them."""

    made: hlsgen.lower.Lowered
    pixels: bytes
    golden: Mapping[str, np.ndarray]


def lowered(names: Sequence[str]) -> tuple[MachineParameters, dict[str, Lowered]]:
    """One machine for all examples, and each example on it."""
    models = {name: quantized(name) for name in names}
    machine = joint([Sizer(graph).parameters(ARRAY) for graph, _, _ in models.values()])
    found = {}
    for name, (graph, images, _) in models.items():
        made = lower(graph, ARRAY, machine)
        pixels = made.program.input.pack(images[0], ARRAY.columns)
        found[name] = Lowered(made, pixels, evaluate(graph, images[0]))
    return machine, found


def compiled(names: Sequence[str], folder: Path) -> Iterator[str]:
    """A line for each example in C++, which is compiled once; raises `Mismatch` where a tensor differs."""
    _, found = lowered(names)
    numbered = dict(enumerate(found.items()))
    programs = Programs({number: item.made for number, (_, item) in numbered.items()}, folder)
    for number, (name, item) in numbered.items():
        result = programs.program(number).run_packed([item.pixels])
        difference = trace.compare(item.made.program, result.records[0], item.golden)
        wanted = item.golden[item.made.program.outputs[0].tensor]
        if difference is not None or not np.array_equal(result.outputs[0], wanted):
            raise Mismatch(f"{name}: {difference or 'the output differs'}")
        yield f"{name}: every tensor equal in C++"


def cycles(names: Sequence[str], simulator: str = "verilator", folder: Path = HARNESS) -> Iterator[str]:
    """A line for each example; raises `Mismatch` where a tensor differs from golden."""
    machine, found = lowered(names)
    run = _verilator(machine, folder) if simulator == "verilator" else _icarus(machine, folder)
    for name, item in found.items():
        counted = []
        for answer in run(item.made.image.pack(), item.pixels):
            cosim.check(item.made.program, answer, item.golden)
            counted.append(f"{answer.counters['cycles']:,}")
        yield f"{name}: {' cycles, stalled '.join(counted)} cycles, every tensor equal in {simulator}"


def _verilator(machine: MachineParameters, folder: Path) -> Runs:
    """With each of the memory's timings."""
    harness = cosim.build(machine, folder, trace=True)

    def run(image: bytes, pixels: bytes) -> Iterator[cosim.Run]:
        for timing in TIMINGS:
            yield from harness.run(image, [pixels], memory=timing)

    return run


def _icarus(machine: MachineParameters, folder: Path) -> Runs:
    """Once: it takes minutes."""
    text = rtl_text(machine, trace=True)

    def run(image: bytes, pixels: bytes) -> Iterator[cosim.Run]:
        yield from icarus.run(machine, image, [pixels], folder / "icarus", text=text)

    return run
