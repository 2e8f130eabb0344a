# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.fuzz.times --batches N --seed S`: the cycle model against RTL, on random Graphs.

Small Graphs on small machines are where every wait counts: an image takes some hundreds of cycles.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.batch import Batch, Case
from hlsgen.cli.values import jobs_options, natural, positive
from hlsgen.errors import HlsgenError
from hlsgen.executors.choose import executor
from hlsgen.ir import evaluate
from hlsgen.machine.time.cycles import predict
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing
from hlsgen.report.routing import loads
from hlsgen.sim import cosim

LATENCY = 32
"""Cycles to a burst's first beat."""


@dataclass(frozen=True)
class Time:
    """Cycles of a case's first image for task 0: the RTL's, and the model's."""

    index: int
    cycles: int
    predicted: int

    @property
    def error(self) -> float:
        """Of the model, as a share of the RTL's cycles."""
        return self.predicted / self.cycles - 1


def times(batch: Batch, folder: Path) -> list[Time]:
    """Of all cases of a batch that have a program, on the one machine that they share."""
    cases = [case for case in batch.cases() if case.lowered]
    assert cases
    assert cases[0].lowered
    harness = cosim.build(cases[0].lowered.program.parameters, folder, quick=True)
    return [_time(case, harness) for case in cases]


def times_of(_shared: None, batch: Batch) -> list[Time]:
    """The same, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="hlsgen-times-") as name:
        return times(batch, Path(name))


def _time(case: Case, harness: cosim.Harness) -> Time:
    assert case.lowered
    assert case.graph
    assert case.images is not None
    program, image = case.lowered.program, case.lowered.image
    pixels = program.input.pack(case.images[0], program.parameters.columns)
    (run,) = harness.run(image.pack(), [pixels], memory=cosim.MemoryTiming(latency=LATENCY))
    routing = Routing(loads=loads(case.graph, dict(evaluate(case.graph, case.images[0]))))
    predicted = predict(program, image, ExternalMemory(latency=LATENCY), routing)
    return Time(case.index, run.counters["cycles"], predicted.cycles)


def report(found: Sequence[Time]) -> str:
    """How many, the middle and the largest error, and those above 1 %."""
    ordered = sorted(found, key=lambda time: abs(time.error))
    middle, worst = ordered[len(ordered) // 2], ordered[-1]
    above = [time for time in ordered if abs(time.error) > 0.01]
    errors = f"median {abs(middle.error):.3%}, worst {abs(worst.error):.2%}, {len(above)} above 1 %"
    lines = [f"{len(ordered)} Graphs: {errors}"]
    lines += [f"  case {time.index}: {time.cycles} cycles, predicted {time.predicted}" for time in above]
    return "\n".join(lines)


def main() -> int:
    """Print a line for each batch, then all of them together."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.times", description=__doc__)
    parser.add_argument("--batches", type=positive, default=8, metavar="N")
    parser.add_argument("--seed", type=natural, default=1, metavar="S")
    parser.add_argument("--integers", action="store_true", help="integer Graphs that no quantizer has made")
    # By its module's name: workers don't know this module as `__main__`.
    from benchmarks.fuzz.times import times_of

    jobs_options(parser)
    options = parser.parse_args()
    numbers = range(options.batches)
    work = [Batch(options.seed, number, not options.integers, options.integers) for number in numbers]
    found: dict[int, list[Time]] = {}
    for number, some in executor(options.jobs, options.dask).run(times_of, None, work):
        found[number] = some
        print(f"batch {number}: {report(some)}", flush=True)
    print(report([time for number in numbers for time in found[number]]))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
