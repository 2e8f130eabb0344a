# SPDX-License-Identifier: Apache-2.0
"""Zynq UltraScale+ projects, by Vivado."""

from __future__ import annotations

import math
import time
from pathlib import Path

from hlsgen.bitstream.result import Attempt, Bitstream, Clock
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.errors import UsageError
from hlsgen.errors.codes import Code

TOOLS = {"VIVADO": ("vivado",)}
"""The Makefile's variable, and the tool behind it."""
RESOURCES = {"CLB LUTs": "LUT", "CLB Registers": "FF", "DSPs": "DSP", "Block RAM Tile": "RAM tiles"}
SCRIPT = "project.tcl"
LIMIT_SECONDS = 6 * 3600


def build_vivado(folder: str | Path, *, limit: float = LIMIT_SECONDS) -> Bitstream:
    """Build an exported Vivado project; raises `ToolMissing`, or `ToolFailed`, missed timing included."""
    folder = Path(folder)
    if not (folder / SCRIPT).is_file():
        raise UsageError(
            f"{folder} must be an exported Vivado project: it has no {SCRIPT}", code=Code.PROJECT
        )
    fix = f"install AMD Vivado and source its settings64.sh, or run `make bitstream` in {folder} where it is"
    variables = find_tools(TOOLS, fix)
    started = time.monotonic()
    make(folder, ["bitstream", *variables], limit)
    facts = dict(line.split() for line in (folder / "build/summary.txt").read_text().splitlines())
    wanted, slack = float(facts["wanted_mhz"]), float(facts["slack_ns"])
    clock = Clock(name="pl_clk0", achieved_mhz=1000 / (1000 / wanted - slack), constraint_mhz=wanted)
    seconds = time.monotonic() - started
    (path,) = (folder / "build").glob("*.bit")
    return Bitstream(
        path=path,
        seed=0,
        clocks=(clock,),
        used=read_vivado_utilization(folder / "build/utilization.txt"),
        attempts=(Attempt(seed=0, clocks=(clock,), seconds=seconds),),
        seconds=seconds,
    )


def read_vivado_utilization(report: Path) -> dict[str, tuple[int, int]]:
    """Resource to (used, available), from the tables of `report_utilization`; half a tile counts as one."""
    used: dict[str, tuple[int, int]] = {}
    for line in report.read_text(errors="replace").splitlines():
        name, *cells = (cell.strip() for cell in line.strip().strip("|").split("|"))
        label = RESOURCES.get(name.rstrip("*"))
        if label and label not in used and len(cells) >= 4:
            used[label] = (math.ceil(float(cells[0])), int(float(cells[-2])))
    return used
