# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.hls [MODEL] --array RxCxD`: cycles of an image, by the HLS C++'s model.

The C++ runs one image; its outputs are compared with golden. Its cycles are those that its pragmas ask for:
every loop begins an iteration in a cycle (II=1), pipelines and FIFOs are as in `hlsgen/machine/time/hls.py`.
No scheduler has been run. docs/hls.md lists what is assumed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.case import Case, quantized
from hlsgen.cli.values import natural, positive
from hlsgen.emit.hls import hls
from hlsgen.errors import HlsgenError
from hlsgen.fit.options import parse_array
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.sim.csim import CSim
from hlsgen.sim.schedule import Schedule

BUILD = Path("build/benchmarks/hls")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hls", description=__doc__)
    parser.add_argument("model", nargs="?", default="deit-tiny", help="a shipped example (%(default)s)")
    parser.add_argument("--array", default="8x16x8", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, default=16, metavar="BYTES", help="bytes of a beat")
    parser.add_argument("--streamed", action="store_true", help="keys and values in external memory")
    parser.add_argument("--task", type=natural, default=0, metavar="T", help="of a model of several tasks")
    parser.add_argument("--most", type=positive, metavar="CYCLES", help="exit code 1 beyond so many cycles")
    parser.add_argument("--json", action="store_true")
    return parser


def run(case: Case) -> Schedule:
    """One image through the C++; raises `SystemExit` when an output differs from golden."""
    graph, image = quantized(case.model)
    lowered = lower(graph, case.shape)
    files = hls(lowered.program, lowered.image)
    machine = CSim(lowered.program, lowered.image.pack(), files, BUILD, scheduled=True, flags=["-O2"])
    result = machine.run(image[None], task=case.task)
    golden = evaluate(graph, image[None], case.task)[graph.for_task(case.task).output]
    if not np.array_equal(result.outputs.reshape(golden.shape), golden):
        raise SystemExit("error: the outputs of the C++ must equal golden")
    return result.schedules[0]


def text(schedule: Schedule) -> str:
    """The schedule as a table: cycles, then processes, then FIFOs."""
    lines = [f"{schedule.cycles:,} cycles, outputs equal to golden"]
    lines.append(f"{'process':18} {'iterations':>12} {'waits: full':>12} {'memory':>12}")
    for name, loop in schedule.loops.items():
        lines.append(f"{name:18} {loop.iterations:12,} {loop.full:12,} {loop.memory:12,}")
    lines.append(f"{'FIFO':18} {'depth':>12} {'most words':>12}")
    lines += [f"{name:18} {fifo.depth:12,} {fifo.most:12,}" for name, fifo in schedule.fifos.items()]
    return "\n".join(lines)


def main() -> int:
    """Run, print."""
    options = arguments().parse_args()
    case = Case(
        model=options.model,
        array=parse_array(options.array),
        memory=options.memory,
        streamed=options.streamed,
        task=options.task,
    )
    schedule = run(case)
    print(json.dumps(dataclasses.asdict(schedule), indent=1) if options.json else text(schedule))
    return 1 if options.most is not None and schedule.cycles > options.most else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
