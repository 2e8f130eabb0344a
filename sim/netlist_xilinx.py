# SPDX-License-Identifier: Apache-2.0
"""UltraScale+ cells for a simulation, as Yosys' `synth_xilinx -family xcup` maps to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hlsgen.sim.netlist_cells import ANY, Cell, CellLibrary, Controls, Kind, modelled
from hlsgen.sim.netlist_logic import ONE, ZERO, expression, net_name

_STRAIGHT = (0,)
"""Pins that are inverted inside the cell are not modelled."""
_PORTS = "ABCDEFGH"
_DSP_REGISTERS = {
    "AREG": ("CEA2", "RSTA"),
    "BREG": ("CEB2", "RSTB"),
    "CREG": ("CEC", "RSTC"),
    "MREG": ("CEM", "RSTM"),
    "PREG": ("CEP", "RSTP"),
    "OPMODEREG": ("CECTRL", "RSTCTRL"),
    "ALUMODEREG": ("CEALUMODE", "RSTALUMODE"),
    "CARRYINREG": ("CECARRYIN", "RSTALLCARRYIN"),
}
"""Parameter that is a number of registers, to their enable and reset."""
_DSP_UNUSED = ("ADREG", "DREG", "INMODEREG", "CARRYINSELREG", "ACASCREG", "BCASCREG")
"""Registers of what is not modelled."""


def _table(inputs: int) -> Kind:
    return Kind(parameters={"INIT": ANY}, inputs=tuple(f"I{at}" for at in range(inputs)), outputs=("O",))


def _flip_flop(reset: str) -> Kind:
    straight = dict.fromkeys((f"IS_{pin}_INVERTED" for pin in ("C", "D", reset)), _STRAIGHT)
    return Kind(parameters={"INIT": ANY, **straight}, inputs=("C", "CE", "D", reset), outputs=("Q",))


def _lut_ram(name: str, ports: int) -> Kind:
    contents = dict.fromkeys((f"INIT_{port}" for port in _PORTS[:ports]), ANY) if ports else {"INIT": ANY}
    # Yosys leaves ports that it does not need open.
    rules = {"IS_WCLK_INVERTED": _STRAIGHT, **contents}
    return modelled("lutram.v", name, parameters=rules, open="ADDR[A-G]|DI[A-H]")


def _block_ram(name: str, widths: tuple[int, ...], lines: int) -> Kind:
    parameters: dict[str, tuple[str | int, ...] | None] = {
        **{f"{way}_WIDTH_{port}": (0, *widths) for way in ("READ", "WRITE") for port in "AB"},
        **{f"WRITE_MODE_{port}": ("READ_FIRST", "WRITE_FIRST", "NO_CHANGE") for port in "AB"},
        **{f"DO{port}_REG": (0, 1) for port in "AB"},
        **{f"{value}_{port}": ANY for value in ("INIT", "SRVAL") for port in "AB"},
        **{f"INIT_{line:02X}": ANY for line in range(lines)},
        **{f"INITP_{line:02X}": ANY for line in range(lines // 8)},
    }
    return modelled(
        "ramb_e2.v",
        name,
        parameters=parameters,
        constants={"SLEEP": "0", "ADDRENA": "1", "ADDRENB": "1"},
        given=("DOA_REG", "DOB_REG", "WRITE_MODE_A", "WRITE_MODE_B"),
    )


def _dsp() -> Kind:
    fixed = {"AMULTSEL": "A", "BMULTSEL": "B", "A_INPUT": "DIRECT", "B_INPUT": "DIRECT"}
    fixed |= {"USE_MULT": "MULTIPLY", "USE_SIMD": "ONE48"}
    counts = dict.fromkeys((*_DSP_REGISTERS, *_DSP_UNUSED), (0, 1))
    return modelled(
        "dsp48e2.v",
        parameters={
            **{name: (value,) for name, value in fixed.items()},
            **counts,
            "AREG": (0, 1, 2),
            "BREG": (0, 1, 2),
            "ACASCREG": (0, 1, 2),
            "BCASCREG": (0, 1, 2),
            "RND": ANY,
        },
        constants=dict.fromkeys(("ACIN", "BCIN", "INMODE", "CARRYINSEL"), "0"),
        given=tuple(_DSP_REGISTERS),
        open="CLK|CE.*|RST.*",
    )


KINDS: Mapping[str, Kind] = {
    **{f"LUT{inputs}": _table(inputs) for inputs in range(1, 7)},
    "INV": Kind(inputs=("I",), outputs=("O",)),
    **{name: Kind(inputs=("I0", "I1", "S"), outputs=("O",)) for name in ("MUXF7", "MUXF8", "MUXF9")},
    **{name: Kind(inputs=("I",), outputs=("O",)) for name in ("BUFG", "IBUF", "OBUF")},
    "FDRE": _flip_flop("R"),
    "FDSE": _flip_flop("S"),
    "CARRY4": Kind(inputs=("CI", "CYINIT", "DI", "S"), outputs=("O", "CO")),
    "CARRY8": Kind(
        parameters={"CARRY_TYPE": ("SINGLE_CY8",)},
        inputs=("CI", "CI_TOP", "DI", "S"),
        outputs=("O", "CO"),
        open="CI_TOP",
    ),
    **{
        name: modelled("shift.v", name, parameters={"INIT": ANY, "IS_CLK_INVERTED": _STRAIGHT})
        for name in ("SRL16E", "SRLC32E")
    },
    **{
        name: _lut_ram(name, ports)
        for name, ports in {"RAM32M16": 8, "RAM32M": 4, "RAM64M8": 8, "RAM64M": 4}.items()
    },
    **{f"RAM{words}X1S": _lut_ram(f"RAM{words}X1S", 0) for words in (64, 128, 256, 512)},
    **{f"RAM{words}X1D": _lut_ram(f"RAM{words}X1D", 0) for words in (64, 128, 256)},
    "RAMB18E2": _block_ram("RAMB18E2", (1, 2, 4, 9, 18, 36), 64),
    "RAMB36E2": _block_ram("RAMB36E2", (1, 2, 4, 9, 18, 36, 72), 128),
    "DSP48E2": _dsp(),
}
"""The cells that a netlist may have."""


def _values(cell: Cell) -> Iterator[tuple[str, int, str]]:
    if cell.type in ("CARRY4", "CARRY8"):
        yield from _carry(cell)
    else:
        yield "O", 0, _value(cell)


def _carry(cell: Cell) -> Iterator[tuple[str, int, str]]:
    """Each bit passes the carry on where its select is 1, else its data; a sum is select XOR carry (UG574).

    CI and CYINIT of a CARRY4 are one input of the chain, see `_problems`.
    """
    given = [net_name(cell.pin(pin)) for pin in ("CI", "CYINIT") if cell.pin(pin) != "0"]
    before, carries = given[0] if given else ZERO, cell.pins.get("CO", ())
    for bit, (data, select) in enumerate(zip(cell.pins["DI"], cell.pins["S"], strict=True)):
        yield "O", bit, expression(0b0110, [before, net_name(select)])
        carry = expression(0b11001010, [net_name(data), before, net_name(select)])
        yield "CO", bit, carry
        named = bit < len(carries) and isinstance(carries[bit], int)
        before = net_name(carries[bit]) if named else carry


def _value(cell: Cell) -> str:
    match cell.type:
        case "INV":
            return f"~{net_name(cell.pin('I'))}"
        case "BUFG" | "IBUF" | "OBUF":
            return net_name(cell.pin("I"))
        case "MUXF7" | "MUXF8" | "MUXF9":
            low, high, select = (net_name(cell.pin(pin)) for pin in cell.kind.inputs)
            return f"{select} ? {high} : {low}"
        case kind if kind.startswith("LUT"):
            inputs = [net_name(cell.pin(pin)) for pin in cell.kind.inputs]
            return expression(int(cell.parameters["INIT"]), inputs)
        case other:
            raise ValueError(f"cell must be logic, not {other}")


def _controls(cell: Cell) -> Controls:
    reset = "R" if cell.type == "FDRE" else "S"
    return Controls(
        clock=net_name(cell.pin("C")),
        enable=net_name(cell.pin("CE")),
        reset=net_name(cell.pin(reset)),
        value=ZERO if reset == "R" else ONE,
        # What the design left open, and an FDSE without the parameter.
        initial=ONE if cell.parameters.get("INIT", int(reset == "S")) else ZERO,
    )


def _problems(cell: Cell, constants: Mapping[int | str, str]) -> list[str]:
    if cell.type in ("RAMB18E2", "RAMB36E2"):
        clocks = {cell.pin("CLKARDCLK"), cell.pin("CLKBWRCLK")} - set(constants)
        return ["pins CLKARDCLK and CLKBWRCLK must be one clock, not two"] if len(clocks) > 1 else []
    if cell.type == "DSP48E2":
        used = {name: cell.parameters.get(name, 1) for name in _DSP_REGISTERS}
        needed = {pin for name, count in used.items() if count for pin in (*_DSP_REGISTERS[name], "CLK")}
        needed |= {pin for name, pin in (("AREG", "CEA1"), ("BREG", "CEB1")) if used[name] == 2}
        return [f"pin {pin} must be connected" for pin in sorted(needed - set(cell.pins))]
    if cell.type == "CARRY4" and "0" not in (constants.get(cell.pin(pin)) for pin in ("CI", "CYINIT")):
        return ["pin CI or CYINIT must be constant 0"]
    return []


def _constant(cell: Cell, constants: Mapping[int | str, str]) -> tuple[int | str, str] | None:
    """What a global buffer passes on."""
    value = constants.get(cell.pin("I"))
    return (cell.pin("O"), value) if cell.type == "BUFG" and value is not None else None


XILINX = CellLibrary(
    kinds=KINDS,
    values=_values,
    flip_flops={"FDRE": "D", "FDSE": "D"},
    controls=_controls,
    problems=_problems,
    constant=_constant,
)
