# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.queue [MODEL] --array RxCxD --images N`: images that wait in the queue.

The RTL runs N images queued, then each of them but the first alone; of a mixture of experts for each task in
turn. Every tensor of every image is compared with golden. The gap is the time that a queued image takes
beyond the same image alone: (cycles of N queued images - cycles of the first) / (N - 1) - cycles of one. The
pause is what lies between an image's last result and the next one's first.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.case import HARNESSES, Case, quantized
from hlsgen.cli.values import positive
from hlsgen.errors import HlsgenError
from hlsgen.fit.options import parse_array
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.machine.format.interface import DRAIN
from hlsgen.sim import cosim


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Cycles of queued images, as means over all but the first.

    alone: of the same images, each alone; queued: from one image's end to the next one's; pause: from an
    image's last result to the next one's first.
    """

    images: int
    alone: float
    queued: float
    pause: float

    @property
    def gap(self) -> float:
        """Cycles of a queued image beyond those of one alone."""
        return self.queued - self.alone

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.images} images queued, every tensor equal",
            f"an image alone          {self.alone:12,.1f} cycles",
            f"a queued image          {self.queued:12,.1f} cycles",
            f"gap                     {self.gap:12,.1f} cycles ({self.gap / self.alone:+.2%} of an image)",
            f"last to first result    {self.pause:12,.1f} cycles ({self.pause / self.alone:.2%} of an image)",
        ]


def measure(case: Case, graph: Graph, pictures: np.ndarray, folder: Path = HARNESSES) -> Queued:
    """Run pictures (integers, [N, ...]) queued and alone; raises `Mismatch` for a tensor that differs."""
    lowered = lower(graph, case.shape)
    program, parameters = lowered.program, lowered.program.parameters
    harness = cosim.build(parameters, folder, target=case.target, trace=True)
    inputs = [program.input.pack(picture, parameters.columns) for picture in pictures]
    tasks = [index % max(1, len(program.outputs)) for index in range(len(inputs))]
    image, memory = lowered.image.pack(), cosim.MemoryTiming(latency=case.latency)
    queue = harness.run_queue(image, inputs, memory=memory, task_step=1)
    golden = [evaluate(graph, picture, task) for picture, task in zip(pictures, tasks, strict=True)]
    for run, values, task in zip(queue.runs, golden, tasks, strict=True):
        cosim.check(program, run, values, task)
    alone = harness.run(image, inputs[1:], memory=memory, task=tasks[1], task_step=1)
    drained = [_drained(run) for run in queue.runs]
    return Queued(
        images=len(inputs),
        alone=float(np.mean([run.counters["cycles"] for run in alone])),
        queued=float(np.mean(np.diff(queue.ends))),
        pause=float(np.mean([after[0] - before[1] for before, after in pairwise(drained)])),
    )


def _drained(run: cosim.Run) -> tuple[int, int]:
    """Cycles of an image's first and last result."""
    assert run.records is not None  # the harness traces
    cycles = run.records["cycle"][run.records["which"] == DRAIN].astype(np.int64)
    return int(cycles.min()), int(cycles.max())


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("model", nargs="?", default="digits", help="a shipped example (%(default)s)")
    parser.add_argument("--array", default="4x4x8", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, default=16, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--latency", type=positive, default=64, metavar="CYCLES", help="(%(default)s)")
    parser.add_argument("--target", default="generic", help="kind of device (%(default)s)")
    parser.add_argument("--images", type=positive, default=4, metavar="N", help="from 2 on (%(default)s)")
    parser.add_argument("--json", action="store_true")
    return parser


def main() -> int:
    """The command line; returns the exit code."""
    options = arguments().parse_args()
    case = Case(
        model=options.model,
        array=parse_array(options.array),
        memory=options.memory,
        latency=options.latency,
        target=options.target,
    )
    try:
        graph, _ = quantized(case.model)
        heldout = load_data(case.model, heldout=True).images[: max(2, options.images)]
        found = measure(case, graph, quantize_images(heldout, graph.input_type))
    except HlsgenError as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(asdict(found) | {"gap": found.gap}) if options.json else "\n".join(found.lines)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
