# SPDX-License-Identifier: Apache-2.0
"""The ECP5 project: board top, pins, synthesis script and Makefile, as path to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hlsgen.boards import Board
from hlsgen.boards.families import ECP5
from hlsgen.emit.device import Vectors
from hlsgen.emit.ecp5.floorplan import place_multipliers, place_rams
from hlsgen.emit.licence import FILE, licence
from hlsgen.emit.render import module_ports, plain_text, render
from hlsgen.emit.serial.host import host_files
from hlsgen.emit.serial.memory_files import split_contents
from hlsgen.emit.serial.pins import place_ports
from hlsgen.emit.serial.pins import require_pins as require_pins_of
from hlsgen.fit.memories import weight_ring
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program

FOLDER = "ecp5"
TOP = "ecp5_top"
TEMPLATES = {
    "Makefile": "ecp5/Makefile",
    "README.md": "ecp5/README.md",
}
SCRIPTS = ("constants.v", "registers.v", "synthesis.ys")


def ecp5_project(
    board: Board,
    verilog: str,
    *,
    top: str = TOP,
    core_mhz: float | None = None,
    sums: Sequence[Sequence[str]] = (),
    rams: Sequence[str] = (),
    title: str = "hlsgen accelerator",
    host: bool = False,
) -> dict[str, str]:
    """Path below `ecp5/` to text of a project that `make bitstream` builds.

    Parameters
    ----------
    board
        An ECP5 board with pins.
    verilog
        Text with the module `top` and all that it needs; its ports are keys of the board's ports.
    core_mhz
        Frequency of clocks without a constraint of their own; by default the board's.
    sums
        Multiplier blocks whose products are added together, to lie side by side: `PATH/CELL` is instance
        `CELL` in module `top.PATH`.
    rams
        RAM blocks to lie in the middle, as Yosys names them after synthesis; those that it doesn't make are
        passed over.
    host
        Whether files for the host lie in `host/`; the README then tells of them.

    Raises `UsageError` when the board can't carry the design's ports.
    """
    require_pins(board)
    ports = module_ports(verilog, top)
    verilog, contents = split_contents(verilog)
    context = {
        "board": board,
        "top": top,
        "title": plain_text(title),
        "host": host,
        "core_mhz": core_mhz or board.core_mhz,
        "memory_files": sorted(contents),
        "sources": [f"{top}.v", *sorted(contents)],
        "pins": place_ports(board, ports),
        "clock_constrained": board.clock_port in ports,
    }
    project = {name: render(template, context) for name, template in TEMPLATES.items()}
    project |= synthesis_scripts(
        top,
        title=context["title"],
        multiplier_sites=place_multipliers(board, sums),
        ram_sites=place_rams(board, rams),
    )
    project |= {f"{top}.lpf": render("ecp5/constraints.lpf", context), f"{top}.v": verilog, **contents}
    project[FILE] = licence()
    return {f"{FOLDER}/{name}": text for name, text in sorted(project.items())}


def synthesis_scripts(
    top: str,
    *,
    title: str,
    multiplier_sites: Mapping[str, str] | None = None,
    ram_sites: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Name to text of the scripts that make `build/TOP.json` of `TOP.v`; sites: where blocks have to lie."""
    context = {
        "top": top,
        "title": title,
        "verilog_files": [f"{top}.v"],
        "multiplier_sites": multiplier_sites or {},
        "ram_sites": ram_sites or {},
    }
    return {name: render(f"ecp5/{name}", context) for name in SCRIPTS}


def ecp5_accelerator(
    board: Board,
    graph: Graph,
    program: Program,
    image: Image,
    *,
    vectors: Vectors,
    core_mhz: float | None = None,
    title: str = "hlsgen accelerator",
) -> dict[str, str | bytes]:
    """Path below `ecp5/` to contents of the project of an accelerator with its Image in block RAM.

    Beside what `ecp5_project` writes it holds a program for the host at the serial port, with `vectors` for
    its self test. Raises `UsageError` when the board, its pins or the frequency don't suit.
    """
    from hlsgen.emit.rtl import convert
    from hlsgen.rtl.board.top import Serial
    from hlsgen.rtl.ecp5.top import WEIGHT_RING, Ecp5Top

    require_pins(board)
    serial, wanted = Serial(), core_mhz or board.core_mhz
    top = Ecp5Top(program, image.pack(), core_mhz=wanted, clock_mhz=board.clock_mhz, serial=serial)
    ring = weight_ring(program.parameters, board.family.ram)
    rams = [f"{WEIGHT_RING}.0.{index}" for index in range(ring.blocks)]
    project = ecp5_project(
        board, convert(top, TOP), core_mhz=top.core_mhz, sums=top.sums, rams=rams, title=title, host=True
    )
    files = host_files(graph, program, image, serial, vectors)
    return dict(sorted((project | {f"{FOLDER}/{name}": data for name, data in files.items()}).items()))


def require_pins(board: Board) -> None:
    """Raise `UsageError` unless a project can be made for the board."""
    require_pins_of(board, ECP5, "an", "ulx3s-85f")
