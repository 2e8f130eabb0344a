# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.timing [MODEL] --array RxCxD`: clock and size that a mapped netlist allows.

Yosys maps the whole accelerator to UltraScale+ (DeiT-Tiny: ten minutes); then the slowest path to each
register is found by each published set of delays. An estimate, without placement and Vivado's own mapping.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.case import Case, quantized
from benchmarks.mapped import map_netlist
from benchmarks.timing.delays import SETS
from benchmarks.timing.netlist import read_netlist
from benchmarks.timing.paths import Paths
from benchmarks.timing.report import Registered, Timing, registered, size_lines, timing, widest
from benchmarks.timing.size import PEERS, Size, size
from hlsgen.boards.board import Board
from hlsgen.boards.read import load_board
from hlsgen.cli.values import positive
from hlsgen.emit.rtl import TOP, verilog
from hlsgen.errors import HlsgenError, UsageError
from hlsgen.fit.options import parse_array
from hlsgen.lower import lower

TARGET = "xilinx"
"""The kind of device that Yosys maps to here."""


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing", description=__doc__)
    parser.add_argument("model", nargs="?", default="deit-tiny", help="a shipped example (%(default)s)")
    parser.add_argument("--board", default="zcu102", help="gives array and memory (%(default)s)")
    parser.add_argument("--array", metavar="RxCxD")
    parser.add_argument("--memory", type=positive, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--top", type=positive, default=15, metavar="N", help="groups to show (%(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of Yosys' files, used again")
    parser.add_argument("--json", action="store_true")
    return parser


def case_of(options: argparse.Namespace, board: Board) -> Case:
    """The machine; raises `UsageError` for a board of another kind of device."""
    if board.family.project_target != TARGET:
        raise UsageError(f"board must have a device of the kind {TARGET}, not {board.family.project_target}")
    return Case(
        model=options.model,
        array=parse_array(options.array) if options.array else board.array,
        memory=options.memory or board.bus_bytes,
        target=TARGET,
    )


def main() -> int:
    """Map, measure, print."""
    options = arguments().parse_args()
    case = case_of(options, load_board(options.board))
    parameters = lower(quantized(case.model)[0], case.shape).program.parameters
    netlist = read_netlist(map_netlist(verilog(parameters, case.target), TOP, options.keep), TOP)
    paths = Paths(netlist)
    found = [timing(paths, delays, options.top) for delays in SETS]
    wide = widest(netlist, options.top)
    counted, blocks = size(netlist, parameters.lanes), registered(paths)
    if options.json:
        print(json.dumps(_data(case, counted, blocks, found, wide), indent=1))
    else:
        print("\n".join(_lines(case, counted, blocks, found, wide)))
    return 0


def _data(
    case: Case, counted: Size, blocks: Registered, found: list[Timing], wide: list[tuple[int, str]]
) -> dict[str, Any]:
    return {
        "model": case.model,
        "array": case.array_text,
        "memory": case.memory,
        "size": counted.data(),
        "peers": [asdict(peer) for peer in PEERS],
        "registered": asdict(blocks),
        "timing": [one.data() for one in found],
        "widest_nets": [{"loads": loads, "net": name} for loads, name in wide],
    }


def _lines(
    case: Case, counted: Size, blocks: Registered, found: list[Timing], wide: list[tuple[int, str]]
) -> list[str]:
    lines = [f"{case.model} {case.array_text}, {case.memory} bytes a cycle, as Yosys maps it to UltraScale+"]
    lines += size_lines(counted)
    lines.append(
        f"registers next to blocks: operands of {blocks.operands} and results of {blocks.dsp_results} of "
        f"{blocks.dsp} DSP48E2, outputs of {blocks.ram_results} of {blocks.ram} block RAMs"
    )
    for one in found:
        lines += one.lines()
    lines.append("nets with the most loads: " + ", ".join(f"{name} {loads:,}" for loads, name in wide))
    return lines


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
