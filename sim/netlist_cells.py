# SPDX-License-Identifier: Apache-2.0
"""What a simulation knows of a family's cells: pins, and the parameters that the models stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from hlsgen.errors import Problem

MODELS = Path(__file__).with_name("models")
PIN = re.compile(r"\b(input|output)\b(?:\s+\[\d+:0\])?\s+((?:(?!\binput\b|\boutput\b)[^;)])+)")
ANY = None


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


def modelled(file: str, module: str = "", **rules: Any) -> Kind:
    """A kind whose pins are those of its model, the first module of the file or the one named."""
    start = f"\nmodule {module} (" if module else "\nmodule "
    head = MODELS.joinpath(file).read_text().partition(start)[2].partition(");")[0]
    pins: dict[str, list[str]] = {"input": [], "output": []}
    for direction, names in PIN.findall(head):
        pins[direction] += [name for name in re.split(r"[\s,]+", names) if name]
    return Kind(inputs=tuple(pins["input"]), outputs=tuple(pins["output"]), model=file, **rules)


@dataclass(frozen=True)
class Cell:
    """A cell of a netlist: `pins` to nets, which are numbers, or "0" and "1"; Yosys' "x" and "z" are 0."""

    name: str
    type: str
    parameters: Mapping[str, str | int]
    pins: Mapping[str, tuple[int | str, ...]]
    bits: Mapping[str, str]
    kind: Kind

    def pin(self, name: str) -> int | str:
        """The net at a pin of one bit; "0" if nothing is connected."""
        return self.pins.get(name, ("0",))[0]


UNKNOWN = Kind()
"""The kind of a cell that the family does not have."""


class Controls(NamedTuple):
    """The controls of a flip-flop, as Verilog: a reset gives `value`, the first cycle has `initial`."""

    clock: str
    enable: str
    reset: str
    value: str
    initial: str


@dataclass(frozen=True, kw_only=True)
class CellLibrary:
    """A kind of device.

    value: the expression of a cell without a model; flip_flops: type to its data input; controls: of a
    flip-flop; problems: what no rule of `Kind` says; constant: output and value of a cell whose output is
    constant, by the nets with a known value; plls: type to output frequency by input frequency.
    """

    kinds: Mapping[str, Kind]
    values: Callable[[Cell], Iterable[tuple[str, int, str]]]
    flip_flops: Mapping[str, str]
    controls: Callable[[Cell], Controls]
    problems: Callable[[Cell, Mapping[int | str, str]], list[str]]
    constant: Callable[[Cell, Mapping[int | str, str]], tuple[int | str, str] | None]
    plls: Mapping[str, Callable[[Cell], Fraction]] = field(default_factory=dict)

    def models(self, cells: Iterable[str]) -> str:
        """Verilog of the models of some types of cells."""
        files = {self.kinds[cell].model for cell in cells} - {""}
        return "".join(MODELS.joinpath(file).read_text() for file in sorted(files))


def read_cell(name: str, document: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Cell:
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
    return Cell(name, document["type"], values, pins, bits, kinds.get(document["type"], UNKNOWN))


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


def cell_problems(cell: Cell, constants: Mapping[int | str, str], family: CellLibrary) -> list[Problem]:
    """What the models don't stand for: the type, parameters, pins. `constants`: nets with a known value."""
    kind = cell.kind
    if kind is UNKNOWN:
        known = ", ".join(family.kinds)
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
    found += [f"pin {pin} must be connected" for pin in sorted(needed)]
    found += [f"parameter {name} must be given" for name in kind.given if name not in cell.parameters]
    found += family.problems(cell, constants)
    return [Problem(f"{cell.type}: {what}", where=cell.name) for what in found]
