# SPDX-License-Identifier: Apache-2.0
"""The ECP5 project as text."""

from __future__ import annotations

import re

import pytest

from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.emit.render import module_ports, safe_name
from hlsgen.errors import UsageError

BOARD = load_board("ulx3s-85f")
VERILOG = """module inner(a, b);
  input [3:0] a;
  wire [3:0] a;
  output b;
  assign b = ^a;
endmodule
module ecp5_top(clk25, uart_rx, uart_tx, led);
  input clk25;
  wire clk25;
  input uart_rx;
  output uart_tx;
  output [7:0] led;
  reg [31:0] count = 0;
  always @(posedge clk25) count <= count + uart_rx;
  assign led = count[31:24];
  inner check(.a(count[3:0]), .b(uart_tx));
endmodule
"""
LPF = """# SPDX-License-Identifier: Apache-2.0
# ULX3S (LFE5U-85F): pins of ecp5_top.
FREQUENCY PORT "clk25" 25 MHZ;
LOCATE COMP "clk25" SITE "G2";
IOBUF PORT "clk25" IO_TYPE=LVCMOS33;
LOCATE COMP "uart_rx" SITE "M1";
IOBUF PORT "uart_rx" IO_TYPE=LVCMOS33;
LOCATE COMP "uart_tx" SITE "L4";
IOBUF PORT "uart_tx" IO_TYPE=LVCMOS33;
LOCATE COMP "led[0]" SITE "B2";
IOBUF PORT "led[0]" IO_TYPE=LVCMOS33 DRIVE=4;
"""


def test_files_and_constraints() -> None:
    project = ecp5_project(BOARD, VERILOG)
    assert sorted(project) == [
        "LICENSE", "Makefile", "README.md", "constants.v", "ecp5_top.lpf",
        "ecp5_top.v", "registers.v", "synthesis.ys",
    ]  # fmt: skip
    assert project["ecp5_top.v"] == VERILOG
    assert project["ecp5_top.lpf"].startswith(LPF)
    assert project["ecp5_top.lpf"].count("LOCATE") == 11


def test_the_makefile_places_for_the_board() -> None:
    makefile = ecp5_project(BOARD, VERILOG, core_mhz=96.5)["Makefile"]
    assert "'--85k' --package 'CABGA381' --speed '6'" in makefile
    assert "FREQUENCY ?= 96.5\n" in makefile
    assert "PLACER ?= static\n" in makefile
    assert "SOURCES = ecp5_top.v\n" in makefile
    assert "--board 'ulx3s' build/ecp5_top.bit" in makefile
    assert "timing-allow-fail" not in makefile


def test_paths_are_relative_and_two_exports_are_equal() -> None:
    project = ecp5_project(BOARD, VERILOG)
    assert project == ecp5_project(BOARD, VERILOG)
    for text in project.values():
        assert not re.search(r"(?<![\w.])/(home|tmp|usr|work|root)/", text)


def test_a_title_means_nothing_to_make_or_a_shell() -> None:
    makefile = ecp5_project(BOARD, VERILOG, title="a$(shell id)\n\trm -rf `x`;")["Makefile"]
    licence, first, *_ = makefile.splitlines()
    assert licence == "# SPDX-License-Identifier: Apache-2.0"
    assert first == "# a shell id rm -rf x for ULX3S (LFE5U-85F): Verilog to a bitstream."


def test_a_board_without_these_pins_is_refused() -> None:
    with pytest.raises(UsageError, match="must be for an ECP5 board with pins, not lfe5u-85f"):
        ecp5_project(load_board("lfe5u-85f"), VERILOG)
    with pytest.raises(UsageError, match="must be for an ECP5 board with pins, not zcu102"):
        ecp5_project(load_board("zcu102"), VERILOG)
    wrong = VERILOG.replace("output [7:0] led", "output [9:0] led").replace("input uart_rx", "input uart_cts")
    with pytest.raises(UsageError) as caught:
        ecp5_project(BOARD, wrong)
    first, second = (problem.what for problem in caught.value.problems)
    assert first.startswith("port uart_cts must be one of the ports of ulx3s-85f: clk25, uart_tx, uart_rx,")
    assert second == "port led must be an output of at most 8 bits on ulx3s-85f, not an output of 10"


def test_ports_of_a_module() -> None:
    assert module_ports(VERILOG, "inner") == {"a": ("in", 4), "b": ("out", 1)}
    with pytest.raises(UsageError, match="the Verilog must hold the module absent"):
        module_ports(VERILOG, "absent")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("digits", "digits"), ("my model; rm -rf /", "my_model_rm_rf"), ("8x8", "n8x8"), ("äö", "design"),
        ("$(x)`y`[exec z]{w}\n", "x_y_exec_z_w"), ("a" * 99, "a" * 64),
    ],
)  # fmt: skip
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe
