# SPDX-License-Identifier: Apache-2.0
"""Gowin's cells for a simulation, as the shipped script maps to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from hlsgen.sim.netlist_cells import ANY, Cell, CellLibrary, Controls, Kind, modelled
from hlsgen.sim.netlist_logic import ONE, ZERO, expression, net_name

_ADD, _SUBTRACT, _EITHER = 0, 1, 2
"""Modes of an ALU: I0 + I1, I0 - I1, the one or the other as I3 says."""
_RESETS = {"R": "RESET", "S": "SET"}
"""Letter in a flip-flop's type to its pin for a synchronous reset."""
_WIDTHS = {"SDPB": (1, 2, 4, 8, 16, 32), "SDPX9B": (9, 18, 36)}


def _table(inputs: int) -> Kind:
    return Kind(parameters={"INIT": ANY}, inputs=tuple(f"I{at}" for at in range(inputs)), outputs=("F",))


def _flip_flop(letters: str) -> Kind:
    pins = [_RESETS.get(letter, "CE") for letter in letters]
    return Kind(parameters={"INIT": (int("S" in letters),)}, inputs=("D", "CLK", *pins), outputs=("Q",))


def _block(name: str) -> Kind:
    widths = dict.fromkeys(("BIT_WIDTH_0", "BIT_WIDTH_1"), _WIDTHS[name])
    rows = dict.fromkeys((f"INIT_RAM_{row:02X}" for row in range(64)), ANY)
    fixed = {"READ_MODE": (0,), "BLK_SEL_0": (0,), "BLK_SEL_1": (0,), "RESET_MODE": ("SYNC",)}
    return modelled(
        "gowin_block.v",
        name,
        parameters={**widths, **rows, **fixed},
        given=tuple(widths),
        constants=dict.fromkeys(("RESETA", "RESETB", "BLKSELA", "BLKSELB"), "0"),
    )


def _multiplier(name: str) -> Kind:
    # Without registers the clock is of no use; the shift chains are not used.
    chains = () if name == "MULT36X36" else ("SIA", "SIB", "ASEL", "BSEL")
    return modelled(
        "gowin_mult.v", name, constants=dict.fromkeys(("CLK", "CE", "RESET", *chains), "0"), open="SI[AB]"
    )


def _lut_ram(bits: int) -> Kind:
    contents = dict.fromkeys((f"INIT_{bit}" for bit in range(bits)), ANY)
    return modelled("gowin_lutram.v", f"RAM16SDP{bits}", parameters=contents)


def _pll() -> Kind:
    off = ("DYN_IDIV_SEL", "DYN_FBDIV_SEL", "DYN_ODIV_SEL", "DYN_DA_EN")
    off += ("CLKOUT_BYPASS", "CLKOUTP_BYPASS", "CLKOUTD_BYPASS")
    unused = ("PSDA_SEL", "DUTYDA_SEL", "DYN_SDIV_SEL", "CLKOUT_FT_DIR", "CLKOUTP_FT_DIR", "DEVICE", "FCLKIN")
    return modelled(
        "gowin_rpll.v",
        parameters={
            **dict.fromkeys(("IDIV_SEL", "FBDIV_SEL"), tuple(range(64))),
            **dict.fromkeys(("ODIV_SEL", *unused), ANY),
            **dict.fromkeys(off, ("false",)),
            **dict.fromkeys(("CLKOUT_DLY_STEP", "CLKOUTP_DLY_STEP"), (0,)),
            "CLKFB_SEL": ("internal",),
            **dict.fromkeys(("CLKOUTD_SRC", "CLKOUTD3_SRC"), ("CLKOUT",)),
        },
        given=("IDIV_SEL", "FBDIV_SEL"),
        constants={"RESET": "0", "RESET_P": "0"},
    )


KINDS: Mapping[str, Kind] = {
    **{f"LUT{inputs}": _table(inputs) for inputs in range(1, 5)},
    **{f"MUX2_LUT{size}": Kind(inputs=("I0", "I1", "S0"), outputs=("O",)) for size in range(5, 9)},
    "ALU": Kind(
        parameters={"ALU_MODE": (_ADD, _SUBTRACT, _EITHER)},
        given=("ALU_MODE",),
        inputs=("I0", "I1", "I3", "CIN"),
        outputs=("SUM", "COUT"),
    ),
    **{f"DFF{letters}": _flip_flop(letters) for letters in ("", "E", "R", "RE", "S", "SE")},
    "VCC": Kind(outputs=("V",)),
    "GND": Kind(outputs=("G",)),
    "IBUF": Kind(inputs=("I",), outputs=("O",)),
    "OBUF": Kind(inputs=("I",), outputs=("O",)),
    **{f"RAM16SDP{bits}": _lut_ram(bits) for bits in (1, 2, 4)},
    **{name: _block(name) for name in _WIDTHS},
    **{name: _multiplier(name) for name in ("MULT9X9", "MULT18X18", "MULT36X36")},
    "rPLL": _pll(),
}
"""The cells that a netlist may have."""


def _values(cell: Cell) -> Iterator[tuple[str, int, str]]:
    if cell.type == "ALU":
        yield from _sum(cell)
    else:
        (output,) = cell.kind.outputs
        yield output, 0, _value(cell)


def _sum(cell: Cell) -> Iterator[tuple[str, int, str]]:
    """The carry passes where the table of the operands is 1; elsewhere it is I0 (UG288, ALU modes)."""
    i0, i1, i3, carry = (net_name(cell.pin(pin)) for pin in ("I0", "I1", "I3", "CIN"))
    tables = {_ADD: 0b01100110, _SUBTRACT: 0b10011001, _EITHER: 0b01101001}
    passes = expression(tables[int(cell.parameters["ALU_MODE"])], [i0, i1, i3])
    yield "SUM", 0, f"({passes}) ^ {carry}"
    yield "COUT", 0, f"({passes}) ? {carry} : {i0}"


def _value(cell: Cell) -> str:
    match cell.type:
        case "VCC":
            return ONE
        case "GND":
            return ZERO
        case "IBUF" | "OBUF":
            return net_name(cell.pin("I"))
        case kind if kind.startswith("MUX2"):
            low, high, select = (net_name(cell.pin(pin)) for pin in cell.kind.inputs)
            return f"{select} ? {high} : {low}"
        case kind if kind.startswith("LUT"):
            inputs = [net_name(cell.pin(pin)) for pin in cell.kind.inputs]
            return expression(int(cell.parameters["INIT"]), inputs)
        case other:
            raise ValueError(f"cell must be logic, not {other}")


def _controls(cell: Cell) -> Controls:
    """After configuration a flip-flop holds what its reset gives, 0 without a reset."""
    letters = cell.type.removeprefix("DFF")
    reset = next((net_name(cell.pin(_RESETS[letter])) for letter in letters if letter in _RESETS), ZERO)
    value = ONE if "S" in letters else ZERO
    enable = net_name(cell.pin("CE")) if "E" in letters else ONE
    return Controls(net_name(cell.pin("CLK")), enable, reset, value, value)


def _problems(cell: Cell, constants: Mapping[int | str, str]) -> list[str]:
    if cell.type in _WIDTHS:
        clocks = {cell.pin("CLKA"), cell.pin("CLKB")} - set(constants)
        return ["pins CLKA and CLKB must be one clock, not two"] if len(clocks) > 1 else []
    return []


def _constant(cell: Cell, constants: Mapping[int | str, str]) -> tuple[int | str, str] | None:
    """Where constants come from."""
    del constants
    return {"VCC": (cell.pin("V"), "1"), "GND": (cell.pin("G"), "0")}.get(cell.type)


def _ratio(cell: Cell) -> Fraction:
    return Fraction(int(cell.parameters["FBDIV_SEL"]) + 1, int(cell.parameters["IDIV_SEL"]) + 1)


GOWIN = CellLibrary(
    kinds=KINDS,
    values=_values,
    flip_flops={name: "D" for name in KINDS if name.startswith("DFF")},
    controls=_controls,
    problems=_problems,
    constant=_constant,
    plls={"rPLL": _ratio},
)
