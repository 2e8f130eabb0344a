# SPDX-License-Identifier: Apache-2.0
"""The Vivado project for Zynq UltraScale+: block design, IP packaging, constraints, drivers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlsgen.boards import Board
from hlsgen.boards.families import ZYNQMP
from hlsgen.emit.device import Vectors, describe, image_facts, pack_vectors
from hlsgen.emit.driver import c_driver
from hlsgen.emit.licence import FILE, licence
from hlsgen.emit.render import module_ports, plain_text, render, safe_name
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.format.program import Program

FOLDER = "vivado"
WRAPPER = "hlsgen_accelerator"
C_DRIVER = "driver/c"
REGISTER_ADDRESS_BITS = 12
"""4 KiB, the smallest range of a block design; the registers repeat within it."""
PORT_BITS = (32, 64, 128)
"""Widths of the processing system's memory ports."""
INTERFACES = ("s_axil", "m_axi")
TEMPLATES = {
    "project.tcl": "vivado/project.tcl",
    "package_ip.tcl": "vivado/package_ip.tcl",
    "constraints.xdc": "vivado/constraints.xdc",
    f"{WRAPPER}.v": "vivado/accelerator.v",
    "Makefile": "vivado/Makefile",
    "README.md": "vivado/README.md",
    "driver/hlsgen_driver.py": "vivado/hlsgen_driver.py",
}


@dataclass(frozen=True, kw_only=True)
class WrapperPort:
    """A port of the wrapper; `inner` is what the top's port of that name gets, empty where it has none."""

    name: str
    direction: str
    width: int
    interface: str
    signal: str
    parameters: str
    inner: str


@dataclass(frozen=True, kw_only=True)
class Constant:
    """An output of the wrapper that never changes."""

    name: str
    value: str


def vivado_project(
    board: Board,
    verilog: str,
    graph: Graph,
    program: Program,
    image: Image,
    *,
    vectors: Vectors,
    name: str = "hlsgen",
    top: str = "top",
    core_mhz: float | None = None,
) -> dict[str, str | bytes]:
    """Path below `vivado/` to contents of a project that Vivado builds in batch mode.

    Parameters
    ----------
    board
        A Zynq UltraScale+ board.
    verilog
        Text with the module `top`: the accelerator with its AXI ports.
    graph
        The integer Graph, for the scales of input and output.
    name
        The project's name; characters that mean something to a tool become underscores.
    core_mhz
        Frequency of pl_clk0; by default the board's.

    Raises `UsageError` for another board or other ports.
    """
    if board.family is not ZYNQMP:
        raise UsageError(
            Problem(
                f"a Vivado project must be for a Zynq UltraScale+ board, not {board.name}",
                fix="export for zcu102 or kv260",
            ),
            code=Code.PROJECT,
        )
    context = {
        "name": safe_name(name),
        "title": plain_text(name),
        "input_shape": "x".join(map(str, graph.input_type.shape)),
        **_board_facts(board, core_mhz),
        **_top_facts(verilog, top, program.parameters),
    }
    project: dict[str, str | bytes] = {file: render(item, context) for file, item in TEMPLATES.items()}
    project |= {FILE: licence(), f"{top}.v": verilog, **_drivers(graph, program, image, vectors)}
    return {f"{FOLDER}/{path}": data for path, data in sorted(project.items())}


def _board_facts(board: Board, core_mhz: float | None) -> dict[str, Any]:
    """What the templates say of the board."""
    led = board.ports.get("led")
    return {
        "board": board,
        "core_mhz": core_mhz or board.core_mhz,
        "led": led and {"site": led.pins[0], "attributes": sorted(led.attributes.items())},
    }


def _top_facts(verilog: str, top: str, machine: MachineParameters) -> dict[str, Any]:
    """What the templates say of the machine and its ports; `UsageError` for other ports."""
    bus_bits = 8 * machine.bus_bytes
    return {
        "top": top,
        "wrapper": WRAPPER,
        "sources": [f"{top}.v", f"{WRAPPER}.v"],
        "ports": wrapper_ports(module_ports(verilog, top), top),
        "constants": [Constant(name=key, value=value) for key, value in _CONSTANTS.items()],
        "port_bits": max(width for width in PORT_BITS if width <= max(bus_bits, PORT_BITS[0])),
        "bus_bytes": machine.bus_bytes,
        "build_id": f"{machine.build_id:#010x}",
    }


def _drivers(graph: Graph, program: Program, image: Image, vectors: Vectors) -> dict[str, str | bytes]:
    """The drivers in Python and C, and what they read: path below the project to contents."""
    packed = image.pack()
    facts = describe(graph, program, image) | {"image": image_facts(packed)}
    driver = c_driver(graph, program, image, vectors)
    return {
        "driver/design.json": json.dumps(facts, indent=1) + "\n",
        "driver/image.bin": packed,
        "driver/vectors.npz": pack_vectors(vectors, program),
        **{f"{C_DRIVER}/{path}": data for path, data in driver.items()},
    }


# The block design may merge and split bursts, and treats them as normal memory.
_CONSTANTS = {
    "m_axi_arcache": "4'b0011",
    "m_axi_awcache": "4'b0011",
    "m_axi_arprot": "3'b000",
    "m_axi_awprot": "3'b000",
}


def wrapper_ports(ports: Mapping[str, tuple[str, int]], top: str) -> list[WrapperPort]:
    """The wrapper's bus ports from the top's; `UsageError` when the top has others, or lacks some."""
    plain = {"clk": ("in", 1), "rst": ("in", 1), "irq": ("out", 1)}
    bus = {name: port for name, port in ports.items() if name.startswith(tuple(f"{i}_" for i in INTERFACES))}
    others = {name: port for name, port in ports.items() if name not in bus}
    needed = {"s_axil_awaddr", "s_axil_araddr", "m_axi_araddr", "m_axi_awaddr", "m_axi_wdata"}
    if others != plain or not needed <= bus.keys():
        wrong = sorted((others.keys() ^ plain.keys()) | (needed - bus.keys()))
        raise UsageError(
            f"the module {top} must have the ports clk, rst, irq, s_axil_* and m_axi_*; "
            f"look at {', '.join(wrong)}",
            code=Code.PROJECT,
        )
    result, described = [], set()
    for name, (direction, width) in bus.items():
        interface = name.rsplit("_", 1)[0]
        address = name in ("s_axil_awaddr", "s_axil_araddr")
        parameters = "" if interface in described else _parameters(interface, bus)
        described.add(interface)
        result.append(
            WrapperPort(
                name=name,
                direction=f"{direction}put",
                width=max(width, REGISTER_ADDRESS_BITS) if address else width,
                interface=interface,
                signal=name.removeprefix(f"{interface}_").upper(),
                parameters=parameters,
                inner=f"{name}[{width - 1}:0]" if address else name,
            )
        )
    return result + [_constant_port(name, value) for name, value in _CONSTANTS.items()]


def _constant_port(name: str, value: str) -> WrapperPort:
    """An output that never changes, and that the top does not have."""
    return WrapperPort(
        name=name,
        direction="output",
        width=int(value.split("'")[0]),
        interface="m_axi",
        signal=name.removeprefix("m_axi_").upper(),
        parameters="",
        inner="",
    )


def _parameters(interface: str, ports: Mapping[str, tuple[str, int]]) -> str:
    data = ports[f"{interface}_wdata"][1]
    if interface == "s_axil":
        kind = f"PROTOCOL AXI4LITE, ADDR_WIDTH {REGISTER_ADDRESS_BITS}"
    else:
        kind = f"PROTOCOL AXI4, ADDR_WIDTH {ports['m_axi_araddr'][1]}, ID_WIDTH 0, SUPPORTS_NARROW_BURST 0"
    return f"XIL_INTERFACENAME {interface}, {kind}, DATA_WIDTH {data}"
