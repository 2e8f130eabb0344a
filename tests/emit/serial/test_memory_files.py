# SPDX-License-Identifier: Apache-2.0
"""Contents of memories in files: the same words, and only where there are many."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.emit.rtl import convert
from hlsgen.emit.serial.memory_files import LEAST_WORDS, split_contents

BENCH = """module bench;
  reg clk = 0;
  reg [9:0] address = 0;
  wire [40:0] value;
  tables dut(.clk(clk), .rst(1'b0), .address(address), .value(value));
  integer i;
  initial for (i = 0; i < 600; i = i + 1) begin
    #1 address = i;
    #1 clk = 1;
    #1 $display("%b", value);
    clk = 0;
  end
endmodule
"""


class Tables(wiring.Component):
    """Four memories that are read at one address: wide, of zeros, and two small ones."""

    address: Signal
    value: Signal

    def __init__(self) -> None:
        super().__init__({"address": In(10), "value": Out(41)})

    def elaborate(self, platform: object) -> Module:
        del platform
        m, place = Module(), 0
        for name, bits, depth, init in (
            ("wide", 33, 600, [(1 << 32) - 7 * i for i in range(600)]),
            ("zeros", 5, 600, []),
            ("small", 2, LEAST_WORDS - 1, [3, 1]),
            ("few", 1, LEAST_WORDS - 1, []),
        ):
            m.submodules[name] = memory = Memory(shape=bits, depth=depth, init=init)
            port = memory.read_port()
            m.d.comb += [port.addr.eq(self.address), self.value[place : place + bits].eq(port.data)]
            place += bits
        return m


def test_only_large_memories_are_split_off() -> None:
    text, files = split_contents(convert(Tables(), "tables"))
    wide, zeros = sorted(files)
    assert files[wide].splitlines() == [f"{(1 << 32) - 7 * i:x}" for i in range(600)]
    assert (zeros, files[zeros]) == ("memories/zeros_600.hex", "0\n" * 600)
    assert text.count("$readmemh") == 2
    assert len(text.splitlines()) < 250
    assert split_contents(text) == (text, {})


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_the_words_are_the_same(tmp_path: Path) -> None:
    whole = convert(Tables(), "tables")
    text, files = split_contents(whole)
    (tmp_path / "memories").mkdir()
    for name, content in {"whole.v": whole, "split.v": text, "bench.v": BENCH, **files}.items():
        (tmp_path / name).write_text(content)
    seen = []
    for name in ("whole", "split"):
        built = ["iverilog", "-g2012", "-o", name, "bench.v", f"{name}.v"]
        subprocess.run(built, check=True, cwd=tmp_path)
        seen.append(subprocess.run(["vvp", "-n", name], check=True, cwd=tmp_path, capture_output=True).stdout)
    assert seen[0] == seen[1]
    assert len(set(seen[0].split())) > 500
    values = seen[0].decode().split()
    assert all(value[-38:-33] == "00000" for value in values)
    assert all(value[0] == "0" for value in values[: LEAST_WORDS - 1])


def test_a_project_carries_them() -> None:
    words = "".join(f"    place[{i}] = 8'h{i:02x};\n" for i in range(LEAST_WORDS))
    design = f"""module ecp5_top(clk25, led);
  input clk25;
  output [7:0] led;
  reg [7:0] led;
  reg [7:0] place [{LEAST_WORDS - 1}:0];
  initial begin
{words}  end
  reg [5:0] count = 0;
  always @(posedge clk25) begin
    count <= count + 1;
    led <= place[count];
  end
endmodule
"""
    project = ecp5_project(load_board("ulx3s-85f"), design)
    assert project["memories/0_place.hex"] == "".join(f"{i:x}\n" for i in range(LEAST_WORDS))
    assert '  initial $readmemh("memories/0_place.hex", place , 0, 63);\n' in project["ecp5_top.v"]
    assert "SOURCES = ecp5_top.v memories/0_place.hex\n" in project["Makefile"]
    assert "| `memories/` |" in project["README.md"]
