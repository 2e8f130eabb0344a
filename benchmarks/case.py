# SPDX-License-Identifier: Apache-2.0
"""One benchmark: a model on an array with a memory, one image through the RTL, every tensor compared."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.blocks import blocks
from benchmarks.phases import Phase, measured_phases
from benchmarks.sized import mapped_size
from benchmarks.timing.size import Size
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inputs.shipped import shipped
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.interface import REASONS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time import cycles
from hlsgen.machine.time.bounds import least_cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing, make_plan
from hlsgen.pipeline import capture, quantize, usual_quantizer
from hlsgen.report.routing import loads
from hlsgen.sim import cosim, library

HARNESSES = Path("build/benchmarks")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured. memory: bytes per cycle; latency: cycles to a burst's first beat.

    norm_parts: cycles that LOAD takes to normalise a word; 0 means 1. target: kind of device; of "xilinx" the
    DSP48E2 blocks are counted too. sized: Yosys maps it whole, which takes ten minutes or more, and tables
    are counted.
    """

    model: str
    array: tuple[int, int, int]
    memory: int = 16
    row_width: int = 1
    ring_bytes: int = ArrayShape.ring_bytes
    latency: int = 64
    streamed: bool = False
    span: int = 0
    norm_parts: int = 0
    sized: bool = False
    target: str = "generic"
    task: int = 0

    @property
    def shape(self) -> ArrayShape:
        rows, columns, depth = self.array
        return ArrayShape(
            rows=rows,
            columns=columns,
            depth=depth,
            bus_bytes=self.memory,
            ring_bytes=self.ring_bytes,
            row_width=self.row_width,
            streamed=self.streamed,
            span=self.span,
            norm_parts=self.norm_parts,
        )

    @property
    def array_text(self) -> str:
        return "x".join(map(str, self.array))


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a case. The RTL counts cycles from start to done; seconds are wall time.

    ideal: cycles if every multiplier did useful work; multiply: cycles in which MULTIPLY issued a step. What
    lies between the two is padding. peak_memory: of this process and of its largest child, in MiB.
    """

    case: Case
    tokens: int
    macs: int
    cycles: int
    predicted: int
    ideal: float
    multiply: int
    waits: dict[str, int]
    phases: tuple[Phase, ...]
    read_bytes: int
    least_bytes: int
    """Image, input, and what the commands that run take of the Image, each part once."""
    least_cycles: float
    """The roofline, see `hlsgen.machine.time.bounds`."""
    used: tuple[int, ...]
    """Experts with tokens, layer by layer."""
    written_bytes: int
    tensors: int
    seconds: dict[str, float]
    peak_memory: float
    blocks: int = 0
    """DSP48E2 blocks of the accelerator; 0 where they were not counted."""
    size: Size | None = None
    """Cells of the netlist, where the case asks for them."""

    @property
    def useful(self) -> float:
        """Useful multiply-accumulates over those that the array could have started."""
        return self.ideal / self.cycles

    @property
    def model_error(self) -> float:
        """Predicted against measured cycles."""
        return self.predicted / self.cycles - 1

    @property
    def bandwidth(self) -> float:
        """Share of the image's time in which the memory delivered."""
        return self.read_bytes / self.case.memory / self.cycles

    @property
    def roofline(self) -> float:
        """Share of the roofline, phase by phase, that was reached."""
        return self.least_cycles / self.cycles

    @property
    def useful_per_block(self) -> float:
        """Useful multiply-accumulates per cycle and DSP48E2 block; 0 where blocks were not counted."""
        return self.macs / self.cycles / self.blocks if self.blocks else 0.0


def quantized(model: str) -> tuple[Graph, np.ndarray]:
    """The integer Graph of a shipped example, and its first held-out image in integers."""
    data = load_data(model)
    loaded = load_model(model, shipped(model).shape)
    config = usual_quantizer(model)
    graph = quantize(capture(loaded.model, loaded.example), data.images, config).graph
    return graph, quantize_images(load_data(model, heldout=True).images[:1], graph.input_type)[0]


class _Stopwatch:
    """Makes calls, and keeps the seconds that each took by its name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, call: Callable[[], _T]) -> _T:
        start = time.perf_counter()
        value = call()
        self.seconds[name] = round(time.perf_counter() - start, 2)
        return value


def _harness(machine: MachineParameters, target: str, run_cycles: float) -> cosim.Harness:
    """The simulator of a machine for one run."""
    quick = run_cycles < library.QUICK_CYCLES
    return cosim.build(machine, HARNESSES, target=target, trace=True, quick=quick)


def run(case: Case, prepared: tuple[Graph, np.ndarray] | None = None) -> Result:
    """Measure one case; raises `Mismatch` when any tensor differs from golden."""
    timed = _Stopwatch()
    graph, image = prepared or timed("quantize", lambda: quantized(case.model))
    lowered = timed("lower", lambda: lower(graph, case.shape))
    program = lowered.program
    golden = timed("golden", lambda: evaluate(graph, image, case.task))
    memory = ExternalMemory(latency=case.latency)
    routing = Routing(task=case.task, loads=loads(graph, golden))
    plan = make_plan(program, lowered.image, routing)
    predicted = timed("predict", lambda: cycles.predict(program, lowered.image, memory, routing, case.target))
    harness = timed("build", lambda: _harness(program.parameters, case.target, predicted.cycles))
    pixels = program.input.pack(image, program.parameters.columns)
    packed, given = lowered.image.pack(), cosim.MemoryTiming(latency=case.latency)
    (answer,) = timed("rtl", lambda: harness.run(packed, [pixels], memory=given, task=case.task))
    timed("compare", lambda: cosim.check(program, answer, golden, case.task))
    xilinx = case.target == "xilinx"
    found = timed("count blocks", lambda: blocks(program.parameters)) if xilinx else {}
    counters: Any = answer.counters
    assert answer.records is not None  # the harness traces
    return Result(
        case=case,
        tokens=max(command.row_count(program.parameters.rows) for command in program.commands),
        macs=program.task_macs[case.task],
        cycles=counters["cycles"],
        predicted=predicted.cycles,
        ideal=program.task_macs[case.task] / program.parameters.lanes,
        multiply=counters["multiply"],
        waits={reason.title: counters[reason.title] for reason in REASONS[1:]},
        phases=measured_phases(program, answer.records, plan.commands),
        read_bytes=counters["read_beats"] * case.memory,
        least_bytes=predicted.bytes_read,
        least_cycles=least_cycles([command for _, command in plan.commands], program),
        used=tuple(sum(map(bool, load)) for load in routing.loads),
        written_bytes=counters["write_beats"] * case.memory,
        tensors=len(program.views) + 1,
        seconds=timed.seconds,
        peak_memory=_peak_memory(),
        blocks=sum(found.values()),
        size=timed("map", lambda: mapped_size(program.parameters)) if case.sized else None,
    )


def _peak_memory() -> float:
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(max(resource.getrusage(user).ru_maxrss for user in users) / 1024, 1)
