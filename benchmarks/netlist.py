# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.netlist [MODEL] --array RxCxD --images N`: images through an UltraScale+ netlist.

Yosys maps the whole accelerator with `synth_xilinx`; its netlist runs in Verilator with models of the cells,
in the harness of the RTL, and every output integer is compared with the golden model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import HARNESSES, Case, quantized
from benchmarks.mapped import map_netlist
from hlsgen.cli.values import positive
from hlsgen.emit.rtl import TOP, verilog
from hlsgen.errors import HlsgenError, Mismatch
from hlsgen.fit.options import parse_array
from hlsgen.frontend.inputs.images import load_data
from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.lower import Lowered
from hlsgen.sim import cosim
from hlsgen.sim.netlist import read_netlist
from hlsgen.sim.netlist_xilinx import XILINX


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.netlist", description=__doc__)
    parser.add_argument("model", nargs="?", default="digits", help="a shipped example (%(default)s)")
    parser.add_argument("--array", default="4x4x8", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, default=16, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--images", type=positive, default=16, metavar="N", help="(%(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of Yosys' files, used again")
    parser.add_argument("--json", action="store_true")
    return parser


def run(case: Case, images: int, keep: Path | None = None) -> dict[str, Any]:
    """Cells, cycles and seconds. Raises `Mismatch` for the first output that differs from golden."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[name], started = round(now - started, 1), now

    graph, _ = quantized(case.model)
    lowered = lower(graph, case.shape)
    inputs = quantize_images(load_data(case.model, heldout=True).images[:images], graph.input_type)
    parameters = lowered.program.parameters
    lap("lower")
    document = map_netlist(verilog(parameters, "xilinx"), TOP, keep)
    lap("yosys")
    netlist = read_netlist(document, TOP, family=XILINX)
    harness = cosim.build(parameters, HARNESSES, target="xilinx", text=netlist.text)
    lap("build")
    pixels = [lowered.program.input.pack(image, parameters.columns) for image in inputs]
    runs = harness.run(lowered.image.pack(), pixels)
    lap("run")
    for number, (image, found) in enumerate(zip(inputs, runs, strict=True)):
        _compare(graph, lowered, image, found, number)
    lap("compare")
    return {
        "model": case.model,
        "array": case.array_text,
        "images": len(runs),
        "cycles": runs[0].counters["cycles"],
        "cells": dict(sorted(netlist.cells.items())),
        "seconds": seconds,
    }


def _compare(graph: Graph, lowered: Lowered, image: np.ndarray, found: cosim.Run, number: int) -> None:
    if found.error:
        raise Mismatch(f"image {number} must end without an error, not with {found.error}")
    layout = lowered.program.output
    output = layout.unpack(found.output, lowered.program.parameters)
    expected = evaluate(graph, image)[layout.tensor].reshape(output.shape)
    if not np.array_equal(output, expected):
        where = int(np.argmax((output != expected).ravel()))
        raise Mismatch(
            f"output {where} of image {number} must be {expected.ravel()[where]}, not {output.ravel()[where]}"
        )


def main() -> int:
    """Run, print."""
    options = arguments().parse_args()
    case = Case(model=options.model, array=parse_array(options.array), memory=options.memory, target="xilinx")
    found = run(case, options.images, options.keep)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{found['model']} {found['array']}: {found['images']} images, every output equal")
        print(f"{found['cycles']:,} cycles; " + ", ".join(f"{k} {v} s" for k, v in found["seconds"].items()))
        print(", ".join(f"{kind} {number:,}" for kind, number in found["cells"].items()))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
