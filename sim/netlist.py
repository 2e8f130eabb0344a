# SPDX-License-Identifier: Apache-2.0
"""Yosys' JSON netlist of a device as flat Verilog that Verilator builds fast.

Tables and multiplexers become one expression each, flip-flops with the same controls one register; what is
left are instances of the models beside this file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hlsgen.errors import Problem, UsageError
from hlsgen.sim.netlist_cells import Cell, CellLibrary, cell_problems, read_cell
from hlsgen.sim.netlist_ecp5 import ECP5
from hlsgen.sim.netlist_logic import net_name, registers

_PLACES = ("$scopeinfo",)
"""What is no cell, but says which module was where."""


@dataclass(frozen=True)
class Netlist:
    """A netlist for simulation.

    module: Verilog, without the models. cells: how many of each type. clock_ratio: what the PLL makes of its
    input's frequency, 1 without a PLL; the model of it makes 1 of any. ports: name to `input` or `output`.
    """

    module: str
    cells: Counter[str]
    clock_ratio: Fraction
    family: CellLibrary
    ports: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The module and the models that it needs."""
        return self.module + self.family.models(self.cells)


def read_netlist(
    document: str | bytes, top: str, name: str | None = None, family: CellLibrary = ECP5
) -> Netlist:
    """The netlist that Yosys' `write_json` wrote, as a module `name`, by default `top`.

    Raises `UsageError` with every cell, pin and parameter that the models don't stand for.
    """
    try:
        module = json.loads(document)["modules"][top]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the netlist must be Yosys' JSON with a module {top}: {error!r}") from None
    cells = [
        read_cell(cell, found, family.kinds)
        for cell, found in module["cells"].items()
        if found["type"] not in _PLACES
    ]
    _refuse(module["ports"], cells, family)
    lines = [*_ports(name or top, module["ports"]), *_nets(cells)]
    for index, cell in enumerate(cells):
        if cell.kind.model:
            lines += _instance(index, cell)
        elif cell.type not in family.flip_flops:
            lines += _logic(cell, family)
    lines += registers(cells, _order(module), family)
    module_text = "\n".join([*lines, "endmodule", ""])
    directions = {name: port["direction"] for name, port in module["ports"].items()}
    ratio = _ratio(cells, family)
    return Netlist(module_text, Counter(cell.type for cell in cells), ratio, family, directions)


def _refuse(ports: Mapping[str, Any], cells: Sequence[Cell], family: CellLibrary) -> None:
    """Raise `UsageError` unless the models stand for all cells and every net has a driver."""
    constants: dict[int | str, str] = {"0": "0", "1": "1"}
    for cell in cells:
        constants |= [constant] if (constant := family.constant(cell, constants)) else []
    problems = [problem for cell in cells for problem in cell_problems(cell, constants, family)]
    if problems:
        raise UsageError(problems)
    directions = {name: port["direction"] for name, port in ports.items()}
    problems += [
        Problem(f"port {name} must be an input or an output, not {direction}")
        for name, direction in directions.items()
        if direction not in ("input", "output")
    ]
    driven = Counter(net for _, net in (*_nets_at(cells, "outputs"), *_port_nets(ports, "input")))
    ends = {net: where for where, net in (*_nets_at(cells, "outputs"), *_nets_at(cells, "inputs"))}
    ends |= {net: where for where, net in _port_nets(ports, "output")}
    problems += [
        Problem(f"net {net} must have one driver, not {driven[net]}", where=where)
        for net, where in ends.items()
        if isinstance(net, int) and driven[net] != 1
    ]
    if problems:
        raise UsageError(problems)


def _nets_at(cells: Iterable[Cell], pins: str) -> Iterator[tuple[str, int | str]]:
    """Nets at the cells' `inputs` or `outputs`, each with the cell's name."""
    for cell in cells:
        for pin in getattr(cell.kind, pins):
            yield from ((cell.name, net) for net in cell.pins.get(pin, ()))


def _port_nets(ports: Mapping[str, Any], direction: str) -> Iterator[tuple[str, int | str]]:
    for name, port in ports.items():
        if port["direction"] == direction:
            yield from ((name, net) for net in port["bits"])


def _ports(name: str, ports: Mapping[str, Any]) -> Iterator[str]:
    """The module's head, and its ports' bits as nets."""
    yield f"module {name}({', '.join(ports)});"
    for port, found in ports.items():
        yield f"{found['direction']} [{len(found['bits']) - 1}:0] {port};"
    for port, found in ports.items():
        for index, net in enumerate(found["bits"]):
            if found["direction"] == "input":
                yield f"wire {net_name(net)} = {port}[{index}];"
            else:
                yield f"assign {port}[{index}] = {net_name(net)};"


def _nets(cells: Iterable[Cell]) -> Iterator[str]:
    """All nets that cells drive."""
    for cell in cells:
        nets = [net for pin in cell.kind.outputs for net in cell.pins.get(pin, ()) if isinstance(net, int)]
        if nets:
            yield f"wire {', '.join(map(net_name, nets))};"


def _logic(cell: Cell, family: CellLibrary) -> Iterator[str]:
    """A cell that is expressions."""
    for output, bit, value in family.values(cell):
        nets = cell.pins.get(output, ())
        if bit < len(nets) and isinstance(nets[bit], int):
            yield f"assign {net_name(nets[bit])} = {value};"


def _instance(index: int, cell: Cell) -> Iterator[str]:
    """A cell as an instance of its model."""
    parameters = [
        f'.{name}("{value}")'
        if isinstance(value, str)
        else f".{name}({len(cell.bits[name])}'b{cell.bits[name]})"
        for name, value in cell.parameters.items()
    ]
    pins = []
    for pin, nets in cell.pins.items():
        names = [net_name(net) for net in nets]
        for bit, net in enumerate(nets):
            if pin in cell.kind.outputs and not isinstance(net, int):
                names[bit] = f"open_{index}_{pin}_{bit}"
                yield f"wire {names[bit]};"
        pins.append(f".{pin}({{{', '.join(reversed(names))}}})")
    yield f"{cell.type} #({', '.join(parameters)}) i{index} ({', '.join(pins)});"


def _order(module: Mapping[str, Any]) -> dict[int | str, int]:
    """Nets in the order of the names that the design gave them."""
    order: dict[int | str, int] = {}
    for found in module.get("netnames", {}).values():
        for net in found["bits"]:
            order.setdefault(net, len(order))
    return order


def _ratio(cells: Iterable[Cell], family: CellLibrary) -> Fraction:
    """Output frequency by input frequency of the PLL."""
    found = [family.plls[cell.type](cell) for cell in cells if cell.type in family.plls]
    if len(found) > 1:
        raise UsageError(f"the netlist must have at most one {' or '.join(family.plls)}, not {len(found)}")
    return found[0] if found else Fraction(1)
