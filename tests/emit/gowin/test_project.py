# SPDX-License-Identifier: Apache-2.0
"""The Gowin project as text."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from support.board_case import lowered
from support.graphs import TINY, images, integer_vit

from hlsgen.boards import load_board
from hlsgen.boards.families import GOWIN
from hlsgen.emit.device import Vectors
from hlsgen.emit.gowin.project import CELL_COST, gowin_accelerator, gowin_project
from hlsgen.emit.serial.project import Accelerator
from hlsgen.errors import UsageError
from hlsgen.ir import evaluate

BOARD = load_board("tang-nano-20k")
VERILOG = """module gowin_top(clk27, uart_rx, uart_tx, led_n);
  input clk27;
  input uart_rx;
  output uart_tx;
  output [5:0] led_n;
  reg [31:0] count = 0;
  always @(posedge clk27) count <= count + uart_rx;
  assign led_n = count[31:26];
  assign uart_tx = count[0];
endmodule
"""
PINS = """// SPDX-License-Identifier: Apache-2.0
// Sipeed Tang Nano 20K (GW2AR-18): pins of gowin_top.
IO_LOC "clk27" 4;
IO_PORT "clk27" IO_TYPE=LVCMOS33;
IO_LOC "uart_rx" 70;
IO_PORT "uart_rx" IO_TYPE=LVCMOS33;
IO_LOC "uart_tx" 69;
IO_PORT "uart_tx" IO_TYPE=LVCMOS33;
IO_LOC "led_n[0]" 15;
"""


def test_files_and_constraints() -> None:
    project = gowin_project(BOARD, VERILOG)
    assert sorted(project) == [
        "LICENSE", "Makefile", "README.md", "gowin_top.cst", "gowin_top.sdc", "gowin_top.v", "memories.txt",
        "memories.v", "synthesis.ys",
    ]  # fmt: skip
    assert project["gowin_top.v"] == VERILOG
    assert project["gowin_top.cst"].startswith(PINS)
    assert project["gowin_top.cst"].count("IO_LOC") == 9
    assert project["gowin_top.sdc"].endswith(
        "create_clock -name clk27 -period 37.037037 [get_ports {clk27}]\n"
    )


def test_the_makefile_places_for_the_board() -> None:
    makefile = gowin_project(BOARD, VERILOG, core_mhz=40.5)["Makefile"]
    assert "--device 'GW2AR-LV18QN88C8/I7' --vopt 'family=GW2A-18C' --vopt cst=gowin_top.cst" in makefile
    assert "FREQUENCY ?= 40.5\n" in makefile
    assert "-d 'GW2A-18C' -o $@.part" in makefile
    assert "--board 'tangnano20k' build/gowin_top.fs" in makefile
    assert "timing-allow-fail" not in makefile


def test_a_block_costs_what_the_family_says() -> None:
    memories = gowin_project(BOARD, VERILOG)["memories.txt"]
    assert f"    cost {CELL_COST * GOWIN.ram.lut_cells};\n" in memories


def test_paths_are_relative_and_two_exports_are_equal() -> None:
    project = gowin_project(BOARD, VERILOG)
    assert project == gowin_project(BOARD, VERILOG)
    for text in project.values():
        assert not re.search(r"(?<![\w.])/(home|tmp|usr|work|root)/", text)


def test_boards_of_other_families_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        gowin_project(load_board("ulx3s-85f"), VERILOG)
    assert str(caught.value) == (
        "a Gowin GW2A project must be for a Gowin GW2A board with pins, not ulx3s-85f\n"
        "  fix: export for tang-nano-20k, or describe your board in a TOML file like it"
    )
    with pytest.raises(UsageError, match="port led_n must be an output of at most 6 bits"):
        gowin_project(BOARD, VERILOG.replace("[5:0]", "[6:0]"))


def test_the_project_of_an_accelerator_holds_board_and_host() -> None:
    graph, found = integer_vit(TINY), lowered(TINY, 1, 2, 2, 8)
    pixels = images(TINY, 2)
    vectors = Vectors(images=pixels, outputs=evaluate(graph, pixels)[found.program.output.tensor])
    given = Accelerator(graph=graph, program=found.program, image=found.image, vectors=vectors)
    project = gowin_accelerator(BOARD, given)
    assert {"host/hlsgen_host.py", "host/design.json", "host/vectors.npz", "gowin_top.v"} <= project.keys()
    assert json.loads(project["host/design.json"])["baud"] == 1_000_000
    assert "`host/`" in str(project["README.md"])
    assert "rPLL" in str(project["gowin_top.v"])
    outside = dataclasses.replace(BOARD, image="external")
    with pytest.raises(UsageError, match=r"memory\.image must be on_chip for a Gowin GW2A project, "):
        gowin_accelerator(outside, given)
