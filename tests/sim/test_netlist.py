# SPDX-License-Identifier: Apache-2.0
"""Netlists to Verilog: tables, registers, and the refusal of all that the models don't stand for."""

from __future__ import annotations

import itertools
import json
import random
import re
from typing import Any

import pytest

from hlsgen.errors import UsageError
from hlsgen.sim.netlist import read_netlist
from hlsgen.sim.netlist_cells import CellLibrary
from hlsgen.sim.netlist_ecp5 import ECP5, KINDS
from hlsgen.sim.netlist_logic import ONE, ZERO, expression
from hlsgen.sim.netlist_xilinx import XILINX

FLIP_FLOP = {"GSR": "AUTO", "CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"}


def cell(kind: str, pins: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """A cell of Yosys' JSON: inputs that aren't mentioned are 0, or left open where they may be."""
    found = KINDS.get(kind)
    if found is not None:
        closed = {pin: "0" for pin in found.inputs if not re.fullmatch(found.open, pin)}
        pins = closed | pins
        parameters = dict.fromkeys(found.given, "NO") | parameters
    return {
        "type": kind,
        "parameters": parameters,
        "connections": {pin: net if isinstance(net, list) else [net] for pin, net in pins.items()},
    }


def netlist(**cells: dict[str, Any]) -> str:
    """A module with the inputs clk, a, b of nets 2, 3, 4 and the output q of net 5."""
    ports = {
        "clk": {"direction": "input", "bits": [2]},
        "a": {"direction": "input", "bits": [3, 4]},
        "q": {"direction": "output", "bits": [5]},
    }
    return json.dumps({"modules": {"top": {"ports": ports, "cells": cells, "netnames": {}}}})


def refusal(document: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_netlist(document, "top")
    return str(caught.value)


@pytest.mark.parametrize("fixed", [(), (ZERO,), (ONE, ZERO)])
def test_an_expression_gives_what_the_table_gives(fixed: tuple[str, ...]) -> None:
    rng = random.Random(1)
    for table in [0, 0xFFFF, 0x6996, 0x8000, 0xFFFE, *(rng.getrandbits(16) for _ in range(300))]:
        names = ["a", "b", "c", "d"]
        for place, value in zip(rng.sample(range(4), len(fixed)), fixed, strict=True):
            names[place] = value
        text = expression(table, names)
        for values in itertools.product((0, 1), repeat=4):
            given = {"a": values[0], "b": values[1], "c": values[2], "d": values[3]}
            row = sum((given[n] if n in given else int(n == ONE)) << i for i, n in enumerate(names))
            assert _evaluate(text, given) == table >> row & 1, (table, text)


def _evaluate(text: str, given: dict[str, int]) -> int:
    """A Verilog expression of single bits, by recursive descent."""
    tokens = re.findall(r"1'b[01]|[abcd()?:&|^~]", text)

    def atom() -> int:
        token = tokens.pop(0)
        if token == "~":
            return 1 - atom()
        if token == "(":
            value = whole()
            assert tokens.pop(0) == ")"
            return value
        return given[token] if token in given else int(token[-1])

    def whole() -> int:
        value = atom()
        while tokens and tokens[0] in "&|^?":
            operator = tokens.pop(0)
            other = atom()
            if operator == "?":
                assert tokens.pop(0) == ":"
                third = atom()
                value = other if value else third
            else:
                value = {"&": value & other, "|": value | other, "^": value ^ other}[operator]
        return value

    result = whole()
    assert not tokens
    return result


def test_flip_flops_of_the_same_controls_are_one_register() -> None:
    document = netlist(
        first=cell("TRELLIS_FF", {"CLK": 2, "DI": 3, "LSR": "0", "Q": 6}, **FLIP_FLOP),
        second=cell("TRELLIS_FF", {"CLK": 2, "DI": 6, "LSR": "0", "Q": 7}, **FLIP_FLOP),
        third=cell(
            "TRELLIS_FF",
            {"CLK": 2, "CE": 4, "DI": 7, "LSR": 3, "Q": 5},
            **FLIP_FLOP | {"CEMUX": "INV", "REGSET": "SET", "SRMODE": "LSR_OVER_CE"},
        ),
    )
    found = read_netlist(document, "top", "net")
    assert found.cells == {"TRELLIS_FF": 3}
    assert found.clock_ratio == 1
    assert "reg [1:0] r0 = {2{1'b0}};\nalways @(posedge n2) r0 <= {n6, n3};" in found.module
    assert "reg [0:0] r1 = {1{1'b1}};" in found.module
    assert "if (n3) r1 <= {1{1'b1}}; else if (~n4) r1 <= {n7};" in found.module


@pytest.mark.parametrize(
    ("kind", "pins", "parameters", "message"),
    [
        ("ALU54B", {}, {}, "cell must be one of LUT4, PFUMX"),
        (
            "LUT4",
            {"A": 3, "Z": 5},
            {"INIT": "10", "MODE": "FAST"},
            "LUT4: parameter MODE must be left out, not FAST",
        ),
        ("LUT4", {"E": 3, "Z": 5}, {"INIT": "10"}, "LUT4: pin E must be one of A, B, C, D, Z"),
        ("LUT4", {"A": 9, "Z": 5}, {"INIT": "10"}, "net 9 must have one driver, not 0"),
        (
            "TRELLIS_FF",
            {"CLK": 2, "DI": 3, "Q": 5},
            FLIP_FLOP | {"CLKMUX": "INV"},
            "TRELLIS_FF: parameter CLKMUX must be one of CLK, not INV",
        ),
        (
            "TRELLIS_FF",
            {"CLK": 2, "DI": 3, "LSR": 4, "Q": 5},
            FLIP_FLOP | {"SRMODE": "ASYNC"},
            "TRELLIS_FF: parameter SRMODE must be one of LSR_OVER_CE, not ASYNC",
        ),
        (
            "TRELLIS_FF",
            {"CLK": 2, "DI": 3, "LSR": 4, "Q": 5},
            FLIP_FLOP,
            "TRELLIS_FF: parameter SRMODE must be LSR_OVER_CE where the pin LSR is used",
        ),
        ("MULT18X18D", {"CE0": 3, "P0": 5}, {}, "MULT18X18D: pin CE0 must be constant 1"),
        ("MULT18X18D", {"P0": 5}, {"REG_OUTPUT_CLK": "CLK0"}, "MULT18X18D: pin CE0 must be connected"),
        ("LUT4", {"A": [], "Z": 5}, {"INIT": "10"}, "LUT4: pin A must be connected"),
        ("LUT4", {"A": 3, "Z": 3}, {"INIT": "10"}, "net 3 must have one driver, not 2"),
        (
            "DP16KD",
            {"CLKB": 2, "RSTB": 3, "DOB0": 5},
            {"RESETMODE": "ASYNC"},
            "DP16KD: pin RSTB must be constant 0 where RESETMODE is ASYNC",
        ),
        (
            "DP16KD",
            {"CSB0": "1", "DOB0": 5},
            {"DATA_WIDTH_A": "100100", "REGMODE_A": "MAYBE"},
            "DP16KD: parameter REGMODE_A must be one of NOREG, OUTREG, not MAYBE",
        ),
        ("CCU2C", {"S0": 5}, {"INJECT1_0": "YES"}, "CCU2C: parameter INJECT1_0 must be one of NO, not YES"),
        ("EHXPLLL", {"CLKOP": 5}, {"CLKI_DIV": "0"}, "EHXPLLL: parameter CLKI_DIV must be in 1..128, not 0"),
    ],
)
def test_what_the_models_do_not_stand_for_is_refused(
    kind: str, pins: dict[str, Any], parameters: dict[str, str], message: str
) -> None:
    text = refusal(netlist(odd=cell(kind, pins, **parameters)))
    assert message in text
    assert "where: odd" in text


def test_all_findings_come_at_once() -> None:
    text = refusal(netlist(one=cell("ALU54B", {}), two=cell("CCU2C", {}, INJECT1_0="YES", INJECT1_1="YES")))
    assert text.count("\n  where: ") == 3


def test_constants_may_come_over_the_global_network() -> None:
    pins = {"CE0": 6, "CLK0": 2, "P0": 5}
    document = netlist(one=cell("DCCA", {"CLKI": "1", "CE": "1", "CLKO": 6}), block=cell("MULT18X18D", pins))
    assert ".CE0({n6}), .CLK0({n2}), .P0({n5}));" in read_netlist(document, "top").module
    assert "CE0 must be constant 1" in refusal(document.replace('"CLKI": ["1"]', '"CLKI": ["0"]'))


@pytest.mark.parametrize("document", ["", "netlist", "[]", '{"modules": {}}', '{"modules": 3}'])
def test_a_file_that_is_no_netlist_is_refused(document: str) -> None:
    assert "the netlist must be Yosys' JSON with a module top" in refusal(document)


def test_a_parameter_whose_default_differs_must_be_given() -> None:
    document = json.loads(netlist(odd=cell("CCU2C", {"S0": 5})))
    del document["modules"]["top"]["cells"]["odd"]["parameters"]["INJECT1_1"]
    assert "CCU2C: parameter INJECT1_1 must be given\n  where: odd" in refusal(json.dumps(document))


def test_an_output_without_a_driver_is_refused() -> None:
    assert "net 5 must have one driver, not 0\n  where: q" in refusal(netlist())


@pytest.mark.parametrize("family", [ECP5, XILINX], ids=["ecp5", "xilinx"])
def test_every_model_has_its_cells_pins_and_parameters(family: CellLibrary) -> None:
    for name, kind in family.kinds.items():
        if kind.model:
            text = family.models([name])
            assert f"\nmodule {name} (" in text
            assert kind.inputs
            assert kind.outputs
            for parameter in kind.parameters:
                assert re.search(rf"\b{parameter} =", text), (name, parameter)
