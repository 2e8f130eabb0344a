# SPDX-License-Identifier: Apache-2.0
"""The best points in RTL: built, simulated with an image, every tensor and the cycles compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hlsgen.executors.executor import Executor, ordered
from hlsgen.explore.point import Point
from hlsgen.explore.result import Result
from hlsgen.explore.search import Progress
from hlsgen.explore.subject import Subject
from hlsgen.ir import evaluate as golden_of
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import board_memory
from hlsgen.machine.time.plan import Routing
from hlsgen.store.cache import cache_folder


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """A point whose RTL gave golden's integers in every tensor: its cycles, and those that were predicted.

    predicted: by the cycle model for the whole program. searched: by the search, which sees some of many
    equal layers. Of several tasks the cycles of all of them.
    """

    point: Point
    cycles: int
    predicted: int
    searched: int

    @property
    def error(self) -> float:
        """Of the prediction, as a share of the RTL's cycles."""
        return self.predicted / self.cycles - 1

    def data(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"point": self.point.data(), "error": round(self.error, 6)}


def confirm(
    subject: Subject,
    results: Sequence[Result],
    executor: Executor,
    progress: Progress = lambda _done, _total: None,
) -> list[Confirmed]:
    """Run each point's RTL with one image; raises `Mismatch`, and `ToolMissing` without Verilator.

    One image takes as long as the model's image has cycles: seconds, for a large model minutes.
    """
    progress(0, len(results))
    runs = executor.run(in_rtl, subject, [result.point for result in results])
    cycles = ordered(runs, len(results), lambda done: progress(done, len(results)))
    return [
        Confirmed(point=result.point, cycles=found, predicted=told, searched=result.known.cycles)
        for result, (found, told) in zip(results, cycles, strict=True)
    ]


def in_rtl(subject: Subject, point: Point) -> tuple[int, int]:
    """Cycles of a random image, the RTL's and the model's, all tasks together.

    Raises `Mismatch` where a tensor differs.
    """
    from hlsgen.sim import cosim, library

    board, setting = subject.board(point.board), subject.setting(point.logit_width)
    lowered, graph = setting.sizer.lower(point.shape(board)), setting.graph
    program, parameters = lowered.program, lowered.program.parameters
    memory = board_memory(board.image)
    harness = cosim.build(
        parameters,
        cache_folder(),
        target=board.family.rtl_target,
        trace=True,
        near=memory.near,
        quick=program.macs < library.QUICK_CYCLES * parameters.lanes,
    )
    image = _image(graph.input_type.shape, graph.input_type.integer_range)
    pixels = [program.input.pack(image, parameters.columns)]
    timing, cycles, told = cosim.MemoryTiming(latency=memory.latency), 0, 0
    for task in range(graph.tasks):
        (run,) = harness.run(lowered.image.pack(), pixels, memory=timing, task=task)
        cosim.check(program, run, golden_of(graph, image, task), task)
        cycles += run.counters["cycles"]
        routing = Routing(task=task)
        told += predict(program, lowered.image, memory, routing, board.family.rtl_target).cycles
    return cycles, told


def _image(shape: Sequence[int], span: tuple[int, int]) -> np.ndarray:
    """Seeded random pixels: the cycles don't depend on them, the integers do."""
    return np.random.default_rng(0).integers(span[0], span[1] + 1, shape).astype(np.int8)
