# SPDX-License-Identifier: Apache-2.0
"""The ECP5's cells for a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from hlsgen.sim.netlist_cells import ANY, Cell, CellLibrary, Controls, Kind, modelled
from hlsgen.sim.netlist_logic import ONE, ZERO, expression, net_name


def _pll() -> Kind:
    off = ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")
    dividers = dict.fromkeys(("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV"), tuple(range(1, 129)))
    return modelled(
        "ehxplll.v",
        parameters={
            **dividers,
            "CLKOP_CPHASE": ANY,
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
    each |= {"RESETMODE": ("SYNC", "ASYNC"), "ASYNC_RESET_RELEASE": ANY, "GSR": ("AUTO", "DISABLED")}
    each |= {f"INITVAL_{index:02X}": ANY for index in range(64)}
    selects = {f"CS{side}{bit}": "0" for side in "AB" for bit in range(3)}
    return modelled("dp16kd.v", parameters=each, constants=selects)


def _multiplier() -> Kind:
    stages = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
    unused = {f"{pin}{index}": "0" for pin in ("CLK", "CE", "RST") for index in (1, 2, 3)}
    return modelled(
        "mult18x18d.v",
        parameters={f"REG_{stage}_CLK": ("NONE", "CLK0") for stage in stages},
        constants={"CE0": "1", "RST0": "0", "SOURCEA": "0", "SOURCEB": "0", **unused},
        open=r"(CLK|CE|RST|C)\d+",
    )


KINDS: Mapping[str, Kind] = {
    "LUT4": Kind(parameters={"INIT": ANY}, inputs=("A", "B", "C", "D"), outputs=("Z",)),
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
    "CCU2C": modelled(
        "ccu2c.v",
        parameters={"INIT0": ANY, "INIT1": ANY, "INJECT1_0": ("NO",), "INJECT1_1": ("NO",)},
        given=("INJECT1_0", "INJECT1_1"),
    ),
    "TRELLIS_DPR16X4": modelled(
        "trellis_dpr16x4.v",
        parameters={"WCKMUX": ("WCK",), "WREMUX": ("WRE", "INV", "1"), "INITVAL": ANY},
    ),
    "DP16KD": _ram(),
    "MULT18X18D": _multiplier(),
    "EHXPLLL": _pll(),
}  # fmt: skip
"""The cells that a netlist may have."""


def _values(cell: Cell) -> Iterator[tuple[str, int, str]]:
    (output,) = cell.kind.outputs
    yield output, 0, _value(cell)


def _value(cell: Cell) -> str:
    pins = {pin: net_name(cell.pin(pin)) for pin in cell.kind.inputs}
    match cell.type:
        case "LUT4":
            return expression(int(cell.parameters["INIT"]), [pins[pin] for pin in "ABCD"])
        case "PFUMX":
            return f"{pins['C0']} ? {pins['ALUT']} : {pins['BLUT']}"
        case "L6MUX21":
            return f"{pins['SD']} ? {pins['D1']} : {pins['D0']}"
        case "DCCA":
            return f"{pins['CLKI']} & {pins['CE']}"
        case other:
            raise ValueError(f"cell must be logic, not {other}")


def _controls(cell: Cell) -> Controls:
    enable, reset = net_name(cell.pin("CE")), net_name(cell.pin("LSR"))
    mode = cell.parameters.get("CEMUX", "1")
    enable = ONE if mode == "1" else f"~{enable}" if mode == "INV" else enable
    if cell.parameters.get("LSRMUX") == "INV":
        reset = f"~{reset}"
    value = ONE if cell.parameters.get("REGSET") == "SET" else ZERO
    return Controls(net_name(cell.pin("CLK")), enable, reset, value, value)


def _problems(cell: Cell, constants: Mapping[int | str, str]) -> list[str]:
    found = []
    if cell.type == "MULT18X18D" and "CLK0" in cell.parameters.values():
        open_pins = sorted({"CLK0", "CE0", "RST0"} - set(cell.pins))
        found += [f"pin {pin} must be connected" for pin in open_pins]
    if cell.type == "DP16KD" and cell.parameters.get("RESETMODE") == "ASYNC":
        resets = [pin for pin in ("RSTA", "RSTB") if constants.get(cell.pin(pin)) != "0"]
        found += [f"pin {pin} must be constant 0 where RESETMODE is ASYNC" for pin in resets]
    if cell.type == "TRELLIS_FF" and "SRMODE" not in cell.parameters and cell.pin("LSR") != "0":
        found.append("parameter SRMODE must be LSR_OVER_CE where the pin LSR is used")
    return found


def _constant(cell: Cell, constants: Mapping[int | str, str]) -> tuple[int | str, str] | None:
    """What the global network passes on."""
    value = constants.get(cell.pin("CLKI"))
    passed = cell.type == "DCCA" and value is not None and cell.pin("CE") == "1"
    return (cell.pin("CLKO"), value) if passed and value is not None else None


def _ratio(cell: Cell) -> Fraction:
    return Fraction(int(cell.parameters.get("CLKFB_DIV", 1)), int(cell.parameters.get("CLKI_DIV", 1)))


ECP5 = CellLibrary(
    kinds=KINDS,
    values=_values,
    flip_flops={"TRELLIS_FF": "DI"},
    controls=_controls,
    problems=_problems,
    constant=_constant,
    plls={"EHXPLLL": _ratio},
)
