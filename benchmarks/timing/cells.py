# SPDX-License-Identifier: Apache-2.0
"""What each UltraScale+ cell is to timing: its outputs, arcs from input to output, and ends of paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hlsgen.errors import UsageError

FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE")
MUXES = ("MUXF7", "MUXF8", "MUXF9")
SHIFTS = ("SRL16E", "SRLC32E")
CARRIES = {"CARRY4": 4, "CARRY8": 8}
"""Cell to bits."""
LUT_RAMS = {
    "RAM32M": 4,
    "RAM32M16": 8,
    "RAM64M": 4,
    "RAM64M8": 8,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
}  # fmt: skip
"""Cell to the LUTs that it takes."""
BLOCK_RAMS = {"RAMB18E2": 1, "RAMB36E2": 2}
"""Cell to blocks of 18 kbit."""
DSP = "DSP48E2"
BUFFERS = ("BUFG", "IBUF", "OBUF")
_LUT = re.compile(r"LUT[1-6]")
_RAM_OUTPUT = re.compile(r"DO[A-H]?|O|[SD]PO")
_BLOCK_OUTPUT = re.compile(r"DOUT.*|CASDOUT.*|CASOUT.*|DBITERR|SBITERR|ECCPARITY|RDADDRECC")
_DSP_OUTPUTS = (
    "P", "PCOUT", "ACOUT", "BCOUT", "CARRYOUT", "CARRYCASCOUT", "MULTSIGNOUT", "OVERFLOW", "UNDERFLOW",
    "PATTERNDETECT", "PATTERNBDETECT", "XOROUT",
)  # fmt: skip
DSP_OPERANDS = {"A": "AREG", "B": "BREG", "C": "CREG", "D": "DREG"}
"""Pin to the parameter that is the number of its registers."""


class Pin(NamedTuple):
    """One bit of a cell's pin."""

    cell: str
    name: str
    bit: int


@dataclass(frozen=True)
class Cell:
    """A cell; nets are numbers, constants texts."""

    name: str
    type: str
    parameters: Mapping[str, Any]
    pins: Mapping[str, tuple[int | str, ...]]

    def number(self, parameter: str, default: int = 0) -> int:
        """A parameter that is a number; Yosys writes it in binary. What it leaves open is 0."""
        value = self.parameters.get(parameter, default)
        return value if isinstance(value, int) else int(re.sub("[xz]", "0", value), 2)

    def text(self, parameter: str, default: str = "") -> str:
        """A parameter that is a text."""
        return str(self.parameters.get(parameter, default)).rstrip(" ")

    def nets(self, pin: str) -> list[int]:
        """Nets at a pin, without constants."""
        return [net for net in self.pins.get(pin, ()) if isinstance(net, int)]


class Arc(NamedTuple):
    """From a bit of an input to an output: the delays that add up, and what of the path they count as."""

    pin: str
    bit: int
    delays: tuple[str, ...]
    luts: int = 0
    carries: int = 0


class End(NamedTuple):
    """A bit of an input at which paths end, and its set-up: the delays that add up."""

    pin: str
    bit: int
    delays: tuple[str, ...]


def is_lut(cell: Cell) -> bool:
    """Whether it is a table of 1 to 6 inputs."""
    return _LUT.fullmatch(cell.type) is not None


def outputs(cell: Cell) -> tuple[str, ...]:
    """The pins that the cell drives. Raises `UsageError` for a cell that this script does not know."""
    kind = cell.type
    if is_lut(cell) or kind in MUXES or kind in BUFFERS or kind == "INV":
        return ("O",)
    if kind in FLIP_FLOPS:
        return ("Q",)
    if kind in CARRIES:
        return ("O", "CO")
    if kind in SHIFTS:
        return ("Q", "Q31")
    if kind in LUT_RAMS:
        return tuple(pin for pin in cell.pins if _RAM_OUTPUT.fullmatch(pin))
    if kind in BLOCK_RAMS:
        return tuple(pin for pin in cell.pins if _BLOCK_OUTPUT.fullmatch(pin))
    if kind == DSP:
        return _DSP_OUTPUTS
    known = ["LUT1..6", "INV", *MUXES, *FLIP_FLOPS, *CARRIES, *SHIFTS, *LUT_RAMS, *BLOCK_RAMS, DSP, *BUFFERS]
    raise UsageError(f"cell {cell.name} must be one of {', '.join(known)}, not {kind}")


def arcs(cell: Cell, pin: str, bit: int) -> Iterator[Arc]:
    """How the inputs reach one output without a clock. Of a DSP48E2 see `paths`."""
    match cell.type:
        case "INV" | "BUFG" | "IBUF" | "OBUF":
            yield Arc("I", 0, ())
        case "MUXF7" | "MUXF8" | "MUXF9":
            yield from (Arc(name, 0, ("muxf",)) for name in ("I0", "I1", "S"))
        case "CARRY4" | "CARRY8":
            yield from _carry(cell, pin, bit)
        case "SRL16E" | "SRLC32E" if pin == "Q":
            yield from (Arc("A", at, ("lut", "lutram_read"), 1) for at in range(len(cell.pins.get("A", ()))))
            yield from (Arc(name, 0, ("lut", "lutram_read"), 1) for name in ("A0", "A1", "A2", "A3"))
        case kind if kind in LUT_RAMS:
            name = _address(cell, pin)
            width = len(cell.pins.get(name, ()))
            yield from (Arc(name, at, ("lut", "lutram_read"), 1) for at in range(width))
        case _ if is_lut(cell):
            yield from (Arc(f"I{at}", 0, ("lut",), 1) for at in range(int(cell.type[3:])))


def _carry(cell: Cell, pin: str, bit: int) -> Iterator[Arc]:
    """From the carry inputs and from all bits below; a sum's own bit comes from S only."""
    if cell.text("CARRY_TYPE", "SINGLE_CY8") != "SINGLE_CY8":
        raise UsageError(f"parameter CARRY_TYPE of {cell.name} must be SINGLE_CY8")
    along = ("ci_co",) * (bit // 4)
    out = (*along, "ci_o" if pin == "O" else "ci_co")
    yield Arc("CI", 0, out, 0, 1)
    yield Arc("CYINIT", 0, ("cyinit", *out), 0, 1)
    for at in range(bit + (pin == "CO")):
        passed = ("ci_co",) * (bit // 4 - at // 4)
        rest = ("s_co", *passed, "ci_o") if pin == "O" else ("s_co", *passed)
        yield from (Arc(name, at, rest, 0, 1) for name in ("S", "DI"))
    if pin == "O":
        yield Arc("S", bit, ("s_o",), 0, 1)


def _address(cell: Cell, pin: str) -> str:
    """The address that a LUT RAM's output is read by."""
    if pin.startswith("DO") and f"ADDR{pin[2:]}" in cell.pins:
        return f"ADDR{pin[2:]}"
    if pin == "DPO":
        return "DPRA"
    return "ADDRA" if pin == "DO" and "ADDRA" in cell.pins else "A"


def ends(cell: Cell) -> Iterator[End]:
    """Where paths end in the cell; of a DSP48E2 see `paths`."""
    match cell.type:
        case kind if kind in FLIP_FLOPS:
            yield from _at(cell, ("D",), "ff_setup")
            yield from _at(cell, ("CE", "R", "S", "CLR", "PRE"), "ff_setup", "control_setup")
        case "SRL16E" | "SRLC32E":
            yield from _at(cell, ("D", "CE"), "srl_setup")
        case kind if kind in LUT_RAMS:
            written = [pin for pin in cell.pins if _writes(cell, pin)]
            yield from _at(cell, tuple(written), "lutram_setup")
        case kind if kind in BLOCK_RAMS:
            driven = outputs(cell)
            inputs = [pin for pin in cell.pins if pin not in driven and not pin.startswith("CLK")]
            yield from _at(cell, tuple(inputs), "bram_setup")


def _at(cell: Cell, pins: tuple[str, ...], *delays: str) -> Iterator[End]:
    for pin in pins:
        yield from (End(pin, bit, delays) for bit in range(len(cell.pins.get(pin, ()))))


def _writes(cell: Cell, pin: str) -> bool:
    """Whether a LUT RAM's pin belongs to its write port, whose address is the last one's."""
    if pin in ("WE", "WE1", "WE2", "D", "A", "ADDRW") or pin.startswith("DI"):
        return True
    addresses = sorted(name for name in cell.pins if re.fullmatch("ADDR[A-H]", name))
    return bool(addresses) and pin == addresses[-1]
