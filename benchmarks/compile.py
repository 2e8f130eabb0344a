# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.compile MODEL`: seconds from a model to all its sources, and of golden.

Everything is made: the cache of generated Verilog is empty unless `--warm`. (Yosys, which writes the Verilog,
is WebAssembly and caches its compiled form: the first run on a machine takes longer.) On a machine with other
work, wall time says little; processor seconds stand beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.errors import HlsgenError
from hlsgen.host.collector import collector_paused

if TYPE_CHECKING:
    from hlsgen.design import Design

BOARDS = {"digits": ("ulx3s-85f", "4x4x8")}
"""Board and array by model; the others get `LARGE`."""
LARGE = ("zcu102", "8x16x8")
BEFORE = ("start", "import", "check", "images", "model")
"""Phases before the model is in memory."""


@dataclass(frozen=True)
class Phase:
    """Seconds of a phase: on the clock, of this process, and of finished child processes."""

    name: str
    wall: float
    cpu: float
    children: float


class Clock:
    """Divides the time of this process into phases, from its start on."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self._name, self._then = "start", (_process_start(), 0.0, 0.0)

    def __call__(self, name: str) -> None:
        """Begin a phase."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME), *_processor()
        wall, cpu, children = (b - a for a, b in zip(self._then, now, strict=True))
        self.phases.append(Phase(self._name, wall, cpu, children))
        self._name, self._then = name, now

    def total(self, *without: str) -> float:
        """Seconds on the clock of all phases but some."""
        return sum(phase.wall for phase in self.phases if phase.name not in without)


def _processor() -> tuple[float, float]:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _process_start() -> float:
    """When this process began, in seconds since the machine's start."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def measure(model: str, *, board: str = "", array: str = "") -> dict[str, Any]:
    """Compile a shipped example and report as `hlsgen compile` does, then evaluate golden for one image."""
    known_board, known_array = BOARDS.get(model, LARGE)
    clock = Clock()
    clock("import")
    with collector_paused():  # as `build` does
        import torch  # noqa: F401

    from hlsgen.pipeline import build

    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "build"
        design = build(model, place, board=board or known_board, array=array or known_array, progress=clock)
        clock("report")
        design.report()
        clock("end")
        written = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        golden = _golden(design)
    peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    parameters = design.program.parameters
    return {
        "model": model,
        "array": [parameters.rows, parameters.columns, parameters.depth],
        "phases": [asdict(phase) for phase in clock.phases],
        "model_to_sources": clock.total(*BEFORE, "report"),
        "process": clock.total(),
        "cpu": sum(phase.cpu + phase.children for phase in clock.phases),
        "bytes_written": written,
        "peak_megabytes": peak[0] / 1024,
        "peak_megabytes_of_a_child": peak[1] / 1024,
        "golden": golden,
    }


def _golden(design: Design) -> float:
    """Seconds of golden for one image, the better of two."""
    took = []
    for _ in range(2):
        then = time.perf_counter()
        design.logits(design.samples.images[:1])
        took.append(time.perf_counter() - then)
    return min(took)


def text(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'phase':10} {'wall s':>8} {'cpu s':>8} {'children':>8}"]
    lines += [
        f"{phase['name']:10} {phase['wall']:8.2f} {phase['cpu']:8.2f} {phase['children']:8.2f}"
        for phase in figures["phases"]
    ]
    peaks = f"{figures['peak_megabytes']:.0f} MB, {figures['peak_megabytes_of_a_child']:.0f} MB in a child"
    lines += [
        f"model in memory to all sources: {figures['model_to_sources']:.2f} s",
        f"whole process: {figures['process']:.2f} s, {figures['cpu']:.2f} processor seconds",
        f"peak memory: {peaks}",
        f"golden, one image: {figures['golden']:.3f} s",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile", description=__doc__)
    parser.add_argument("model", help="a shipped example")
    parser.add_argument("--board", default="")
    parser.add_argument("--array", default="", metavar="RxCxD")
    parser.add_argument("--warm", action="store_true", help="use the cache of generated Verilog")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does
    with tempfile.TemporaryDirectory() as name:
        if not options.warm:
            os.environ["HLSGEN_CACHE"] = name
        figures = measure(options.model, board=options.board, array=options.array)
    print(json.dumps(figures, indent=1) if options.json else text(figures))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
