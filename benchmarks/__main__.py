# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks [MODEL] --array RxCxD --memory BYTES --json`: cycles of whole images in RTL."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks import table
from benchmarks.case import Case, Result, quantized, run
from benchmarks.cases import CASES, Bar
from benchmarks.kept import kept
from hlsgen.cli.values import natural, positive
from hlsgen.errors import HlsgenError
from hlsgen.fit.options import parse_array
from hlsgen.ir import Graph
from hlsgen.lower.size import ArrayShape

PAGE = Path("docs/benchmarks.md")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("model", nargs="?", help="a shipped example; without it every case of the table")
    parser.add_argument("--array", default="8x16x8", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, default=16, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--norm-parts", type=natural, default=0, metavar="N", help="of a word in layer norm")
    parser.add_argument("--row-width", type=positive, default=1, metavar="ROWS")
    parser.add_argument("--ring", type=positive, default=ArrayShape.ring_bytes, metavar="BYTES")
    parser.add_argument("--target", choices=("generic", "xilinx"), default="generic", help="kind of device")
    parser.add_argument("--streamed", action="store_true", help="keys and values in external memory")
    parser.add_argument("--span", type=natural, default=0, metavar="TILES", help="of a reading, 0: all")
    parser.add_argument("--latency", type=natural, default=64, metavar="CYCLES", help="to a first beat")
    parser.add_argument("--task", type=natural, default=0, metavar="T", help="of a model of several tasks")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE} from every case")
    parser.add_argument("--again", action="store_true", help="run what was measured on the same sources, too")
    parser.add_argument("--json", action="store_true")
    return parser


def _cases(options: argparse.Namespace) -> list[tuple[Case, Bar]]:
    if options.model is None or options.write:
        return list(CASES)
    case = Case(
        model=options.model,
        array=parse_array(options.array),
        memory=options.memory,
        row_width=options.row_width,
        norm_parts=options.norm_parts,
        ring_bytes=options.ring,
        latency=options.latency,
        target=options.target,
        streamed=options.streamed,
        span=options.span,
        task=options.task,
    )
    return [(case, Bar())]


def _result(case: Case, again: bool, prepared: dict[str, tuple[Graph, np.ndarray]]) -> Result:
    """The case's result; `prepared` holds the last model's graph."""

    def measure() -> Result:
        if case.model not in prepared:
            prepared.clear()
            prepared[case.model] = quantized(case.model)
        return run(case, prepared[case.model])

    return measure() if again else kept(case, measure)


def main() -> int:
    """Run the cases; exit code 1 when a bar is missed."""
    options = arguments().parse_args()
    results: list[tuple[Result, Bar]] = []
    prepared: dict[str, tuple[Graph, np.ndarray]] = {}
    for case, bar in _cases(options):
        result = _result(case, options.again, prepared)
        results.append((result, bar))
        if not options.json:
            print(table.line(result), flush=True)
    if options.json:
        print(json.dumps([table.data(result) for result, _ in results], indent=1))
    if options.write:
        PAGE.write_text(table.page(results), "utf-8")
    missed = [result.case for result, bar in results if not bar.met(result)]
    for case in missed:
        print(f"bar missed: {case}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
