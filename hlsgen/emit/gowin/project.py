# SPDX-License-Identifier: Apache-2.0
"""The Gowin project: board top, pins, synthesis script and Makefile, as path to text."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.boards import Board
from hlsgen.boards.families import GOWIN
from hlsgen.emit.device import Vectors
from hlsgen.emit.licence import FILE, licence
from hlsgen.emit.render import module_ports, plain_text, render
from hlsgen.emit.serial.host import host_files
from hlsgen.emit.serial.memory_files import split_contents
from hlsgen.emit.serial.pins import place_ports, require_pins
from hlsgen.errors import Problem, UsageError
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program

TOP = "gowin_top"
SHIPPED = "tang-nano-20k"
SCRIPTS = ("memories.txt", "memories.v", "synthesis.ys")
CELL_COST = 6
"""What Yosys makes of a cell of LUT memory: 4, and about 2 for the choice among the words."""


def gowin_project(
    board: Board,
    verilog: str,
    *,
    top: str = TOP,
    core_mhz: float | None = None,
    title: str = "hlsgen accelerator",
    host: bool = False,
) -> dict[str, str]:
    """Path to text of a project that `make bitstream` builds.

    Parameters
    ----------
    board
        A Gowin board with pins.
    verilog
        Text with the module `top` and all that it needs; its ports are keys of the board's ports.
    core_mhz
        Frequency that all clocks are placed for; by default the board's.
    host
        Whether files for the host lie in `host/`; the README then tells of them.

    Raises `UsageError` when the board can't carry the design's ports.
    """
    require_pins(board, GOWIN, "a", SHIPPED)
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
    project = {name: render(f"gowin/{name}", context) for name in ("Makefile", "README.md")}
    project |= synthesis_scripts(top, title=context["title"])
    constraints = {f"{top}.cst": "constraints.cst", f"{top}.sdc": "clock.sdc"}
    project |= {name: render(f"gowin/{template}", context) for name, template in constraints.items()}
    project |= {f"{top}.v": verilog, **contents, FILE: licence()}
    return dict(sorted(project.items()))


def synthesis_scripts(top: str, *, title: str) -> dict[str, str]:
    """Name to text of the scripts that make `build/TOP.json` of `TOP.v`."""
    context = {"top": top, "title": title, "block_cost": CELL_COST * GOWIN.ram.lut_cells}
    return {name: render(f"gowin/{name}", context) for name in SCRIPTS}


def gowin_accelerator(
    board: Board,
    graph: Graph,
    program: Program,
    image: Image,
    *,
    vectors: Vectors,
    title: str = "hlsgen accelerator",
) -> Mapping[str, str | bytes]:
    """Path to contents of the project of an accelerator with its Image in block RAM.

    Beside what `gowin_project` writes it holds a program for the host at the serial port, with `vectors` for
    its self test. Raises `UsageError` when the board, its pins or the frequency don't suit.
    """
    from hlsgen.emit.rtl import convert
    from hlsgen.rtl.board.top import Serial
    from hlsgen.rtl.gowin.top import GowinTop

    require_pins(board, GOWIN, "a", SHIPPED)
    if board.image != "on_chip":
        what = f"memory.image must be on_chip for a Gowin project, not {board.image} ({board.name})"
        raise UsageError(Problem(what, why="its board top has no way to external memory"))
    serial = Serial()
    top = GowinTop(program, image.pack(), core_mhz=board.core_mhz, clock_mhz=board.clock_mhz, serial=serial)
    text = convert(top, TOP)
    project = gowin_project(board, text, core_mhz=top.core_mhz, title=title, host=True)
    return dict(sorted((project | host_files(graph, program, image, serial, vectors)).items()))
