# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.board_netlist [MODEL] --board NAME --images N`: images through a board's netlist.

Yosys maps the whole board as its project does: serial port, PLL, Image and accelerator. Simulators of the
netlist, as many as `--jobs`, take held-out images at the board's pins, sent by the project's own program for
the host. Every output integer and class is compared with golden.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import hlsgen
from benchmarks.yosys import WORK
from hlsgen.bitstream.export import export
from hlsgen.bitstream.nextpnr.verify import Vectors, verify
from hlsgen.bitstream.result import Wanted
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.boards import load_board
from hlsgen.cli.values import positive
from hlsgen.errors import HlsgenError, UsageError
from hlsgen.fit.options import parse_array
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import quantize_images


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.board_netlist", description=__doc__)
    parser.add_argument("model", nargs="?", default="digits", help="a shipped example (%(default)s)")
    parser.add_argument("--board", default="ulx3s-85f", help="its name (%(default)s)")
    parser.add_argument("--array", metavar="RxCxD", help="rows, columns, depth (default: the board's)")
    parser.add_argument("--images", type=positive, metavar="N", help="(default: all held-out ones)")
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="simulators (%(default)s)")
    parser.add_argument("--json", action="store_true")
    return parser


def run(
    model: str, board: str, array: str | None = None, images: int | None = None, jobs: int = 2
) -> dict[str, Any]:
    """Images, cycles and seconds. Raises `Mismatch` for the first output that differs from golden."""
    family = load_board(board).family
    if not family.flow:
        raise UsageError(f"board must be of a family whose netlists are simulated, not {family.title}")
    flow, started = family.build_flow(), time.monotonic()
    shape = parse_array(array) if array else None
    design = hlsgen.build(model, WORK / f"board-{model}-{board}", board=board, array=shape)
    project = export(design)
    make(project, ["synthesis", *find_tools({"YOSYS": flow.tools["YOSYS"]}, flow.fix)], flow.limit)
    synthesised = time.monotonic() - started
    real = load_data(model, heldout=True).images[:images]
    integers = quantize_images(real, design.graph.input_type)
    (expected,) = design.results(integers).values()
    vectors = Vectors(images=integers, logits=expected.reshape(len(integers), -1))
    found = verify(project, Wanted(images=len(integers)), flow.board, jobs=jobs, vectors=vectors)
    parameters = design.program.parameters
    return {
        "model": model,
        "board": board,
        "array": f"{parameters.rows}x{parameters.columns}x{parameters.depth}",
        "images": found.images,
        "cycles": max(found.cycles),
        "sha256": found.sha256,
        "seconds": {
            "synthesis": round(synthesised, 1),
            "build": round(found.build_seconds, 1),
            "run": round(found.run_seconds, 1),
        },
    }


def main() -> int:
    """Run, print."""
    options = arguments().parse_args()
    found = run(options.model, options.board, options.array, options.images, options.jobs)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        what = f"{found['model']} {found['array']} on {found['board']}"
        print(f"{what}: {found['images']} images, every output equal")
        seconds = ", ".join(f"{name} {value} s" for name, value in found["seconds"].items())
        print(f"at most {found['cycles']:,} cycles an image; {seconds}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
