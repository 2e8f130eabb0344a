# SPDX-License-Identifier: Apache-2.0
"""The ECP5's cells in a simulation: pins, and the parameters that the models stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hlsgen.errors import Problem

MODELS = Path(__file__).with_name("models")
PIN = re.compile(r"\b(input|output)\b(?:\s+\[\d+:0\])?\s+((?:(?!\binput\b|\boutput\b)[^;)])+)")
_ANY = None


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of cell.

    parameters: name to the values that are allowed, or to `None` for any. constants: pins that must have a
    constant value. inputs, outputs: its pins. open: inputs that may be left open, as a pattern; the chip
    takes some open pins as 1. given: parameters that must be there, since the chip's default is another than
    the model's. model: the file below `models` that is its behaviour; a cell without one is an expression.
    """

    parameters: Mapping[str, tuple[str | int, ...] | None] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    open: str = ""
    given: tuple[str, ...] = ()
    model: str = ""


def _modelled(file: str, **rules: Any) -> Kind:
    """A kind whose pins are those of its model."""
    head = MODELS.joinpath(file).read_text().partition("\nmodule ")[2].partition(");")[0]
    pins: dict[str, list[str]] = {"input": [], "output": []}
    for direction, names in PIN.findall(head):
        pins[direction] += [name for name in re.split(r"[\s,]+", names) if name]
    return Kind(inputs=tuple(pins["input"]), outputs=tuple(pins["output"]), model=file, **rules)


def _pll() -> Kind:
    off = ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")
    dividers = dict.fromkeys(("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV"), tuple(range(1, 129)))
    return _modelled(
        "ehxplll.v",
        parameters={
            **dividers,
            "CLKOP_CPHASE": _ANY,
            "CLKOP_FPHASE": (0,),
            "CLKOP_ENABLE": ("ENABLED",),
            "FEEDBK_PATH": ("CLKOP",),
            "OUTDIVIDER_MUXA": ("DIVA",),
            **dict.fromkeys(off, ("DISABLED",)),
        },
        constants={"RST": "0", "STDBY": "0"},
        open="PHASE.*|PLLWAKESYNC|ENCLKOP",
    )


def _ram() -> Kind:
    each: dict[str, tuple[str | int, ...] | None] = {}
    for side in "AB":
        each |= {
            f"DATA_WIDTH_{side}": (1, 2, 4, 9, 18, 36),
            f"REGMODE_{side}": ("NOREG", "OUTREG"),
            f"WRITEMODE_{side}": ("NORMAL", "READBEFOREWRITE"),
            f"CSDECODE_{side}": ("0b000",),
            f"CLK{side}MUX": (f"CLK{side}",),
        }
    each |= {"RESETMODE": ("SYNC", "ASYNC"), "ASYNC_RESET_RELEASE": _ANY, "GSR": ("AUTO", "DISABLED")}
    each |= {f"INITVAL_{index:02X}": _ANY for index in range(64)}
    selects = {f"CS{side}{bit}": "0" for side in "AB" for bit in range(3)}
    return _modelled("dp16kd.v", parameters=each, constants=selects)


def _multiplier() -> Kind:
    stages = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
    unused = {f"{pin}{index}": "0" for pin in ("CLK", "CE", "RST") for index in (1, 2, 3)}
    return _modelled(
        "mult18x18d.v",
        parameters={f"REG_{stage}_CLK": ("NONE", "CLK0") for stage in stages},
        constants={"CE0": "1", "RST0": "0", "SOURCEA": "0", "SOURCEB": "0", **unused},
        open=r"(CLK|CE|RST|C)\d+",
    )


KINDS: Mapping[str, Kind] = {
    "LUT4": Kind(parameters={"INIT": _ANY}, inputs=("A", "B", "C", "D"), outputs=("Z",)),
    "PFUMX": Kind(inputs=("ALUT", "BLUT", "C0"), outputs=("Z",)),
    "L6MUX21": Kind(inputs=("D0", "D1", "SD"), outputs=("Z",)),
    "DCCA": Kind(inputs=("CLKI", "CE"), outputs=("CLKO",)),
    "TRELLIS_FF": Kind(
        parameters={
            "GSR": ("AUTO", "DISABLED", "ENABLED"),
            "CEMUX": ("1", "CE", "INV"),
            "CLKMUX": ("CLK",),
            "LSRMUX": ("LSR", "INV"),
            "REGSET": ("SET", "RESET"),
            "SRMODE": ("LSR_OVER_CE",),
        },
        constants={"M": "0"},
        open="CE|LSR|M",
        inputs=("CLK", "LSR", "CE", "DI", "M"),
        outputs=("Q",),
    ),
    "CCU2C": _modelled(
        "ccu2c.v",
        parameters={"INIT0": _ANY, "INIT1": _ANY, "INJECT1_0": ("NO",), "INJECT1_1": ("NO",)},
        given=("INJECT1_0", "INJECT1_1"),
    ),
    "TRELLIS_DPR16X4": _modelled(
        "trellis_dpr16x4.v",
        parameters={"WCKMUX": ("WCK",), "WREMUX": ("WRE", "INV", "1"), "INITVAL": _ANY},
    ),
    "DP16KD": _ram(),
    "MULT18X18D": _multiplier(),
    "EHXPLLL": _pll(),
}  # fmt: skip
"""The cells that a netlist may have."""


@dataclass(frozen=True)
class Cell:
    """A cell of a netlist: `pins` to nets, which are numbers, or "0" and "1"; Yosys' "x" and "z" are 0."""

    name: str
    type: str
    parameters: Mapping[str, str | int]
    pins: Mapping[str, tuple[int | str, ...]]
    bits: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    def pin(self, name: str) -> int | str:
        """The net at a pin of one bit; "0" if nothing is connected."""
        return self.pins.get(name, ("0",))[0]


def read_cell(name: str, document: Mapping[str, Any]) -> Cell:
    """The cell of Yosys' JSON."""
    values, bits = {}, {}
    for key, value in document.get("parameters", {}).items():
        values[key] = _value(value)
        bits[key] = value.replace("x", "0").replace("z", "0") if isinstance(value, str) else f"{value:b}"
    pins = {
        pin: tuple(net if isinstance(net, int) else "1" if net == "1" else "0" for net in nets)
        for pin, nets in document["connections"].items()
        if nets
    }
    return Cell(name, document["type"], values, pins, bits)


def _value(value: str | int) -> str | int:
    """A number, or a text: Yosys writes numbers in binary, and a space behind texts that look like one."""
    if isinstance(value, int):
        return value
    if value and not value.strip("01xz"):
        return int(value.replace("x", "0").replace("z", "0"), 2)
    return value[:-1] if value.endswith(" ") else value


def _rule(allowed: tuple[str | int, ...]) -> str:
    """What a parameter must be."""
    if len(allowed) > 8:
        return f"in {allowed[0]}..{allowed[-1]}"
    return f"one of {', '.join(map(str, allowed))}" if allowed else "left out"


def cell_problems(cell: Cell, constants: Mapping[int | str, str]) -> list[Problem]:
    """What the models don't stand for: the type, parameters, pins. `constants`: nets with a known value."""
    kind = KINDS.get(cell.type)
    if kind is None:
        known = ", ".join(KINDS)
        return [Problem(f"cell must be one of {known}, not {cell.type}", where=cell.name)]
    found = []
    for name, value in cell.parameters.items():
        allowed = kind.parameters.get(name, ())
        if allowed is not None and value not in allowed:
            rule = _rule(allowed)
            found.append(f"parameter {name} must be {rule}, not {value}")
    for pin, nets in cell.pins.items():
        if pin not in kind.inputs + kind.outputs:
            found.append(f"pin {pin} must be one of {', '.join(kind.inputs + kind.outputs)}")
        wanted = kind.constants.get(pin)
        if wanted is not None and any(constants.get(net) != wanted for net in nets):
            found.append(f"pin {pin} must be constant {wanted}")
    needed = {pin for pin in kind.inputs if not re.fullmatch(kind.open, pin)} - set(cell.pins)
    if cell.type == "MULT18X18D" and "CLK0" in cell.parameters.values():
        needed |= {"CLK0", "CE0", "RST0"} - set(cell.pins)
    found += [f"pin {pin} must be connected" for pin in sorted(needed)]
    found += [f"parameter {name} must be given" for name in kind.given if name not in cell.parameters]
    if cell.type == "DP16KD" and cell.parameters.get("RESETMODE") == "ASYNC":
        resets = [pin for pin in ("RSTA", "RSTB") if constants.get(cell.pin(pin)) != "0"]
        found += [f"pin {pin} must be constant 0 where RESETMODE is ASYNC" for pin in resets]
    if cell.type == "TRELLIS_FF" and "SRMODE" not in cell.parameters and cell.pin("LSR") != "0":
        found.append("parameter SRMODE must be LSR_OVER_CE where the pin LSR is used")
    return [Problem(f"{cell.type}: {what}", where=cell.name) for what in found]
