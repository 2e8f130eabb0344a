# SPDX-License-Identifier: Apache-2.0
"""The project of a board by Yosys and nextpnr, as path to text: what is equal for all of their families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar

from hlsgen.boards import Board
from hlsgen.boards.families import Family
from hlsgen.emit.device import Vectors
from hlsgen.emit.licence import FILE, licence
from hlsgen.emit.render import module_ports, plain_text, render
from hlsgen.emit.serial.host import host_files
from hlsgen.emit.serial.memory_files import split_contents
from hlsgen.emit.serial.pins import place_ports
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.program import Program

if TYPE_CHECKING:
    from hlsgen.rtl.board.pll import PllBoardTop

    Top = TypeVar("Top", bound=PllBoardTop)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A family's part in it.

    top: module of a board top. article: of the family's title. shipped: a board of the family. templates:
    their folder. constraints: the endings of the files of pins and clocks to their templates. scripts: names
    of the others, for Yosys.
    """

    family: Family
    top: str
    article: str
    shipped: str
    templates: str
    constraints: Mapping[str, str]
    scripts: tuple[str, ...]

    def require_board(self, board: Board) -> None:
        """Raise `UsageError` unless a project can be made for the board."""
        kind = f"{self.article} {self.family.title}"
        if board.family is not self.family or not board.has_pins:
            raise UsageError(
                Problem(
                    f"{kind} project must be for {kind} board with pins, not {board.name}",
                    fix=f"export for {self.shipped}, or describe your board in a TOML file like it",
                ),
                code=Code.PROJECT,
            )
        if board.image != "on_chip":
            what = f"memory.image must be on_chip for {kind} project, not {board.image} ({board.name})"
            raise UsageError(
                Problem(what, why="its board top has no way to external memory"), code=Code.PROJECT
            )

    def render(self, name: str, context: Mapping[str, object]) -> str:
        """Text of one of the family's templates."""
        return render(f"{self.templates}/{name}", context)

    def render_scripts(self, top: str, title: str, **facts: object) -> dict[str, str]:
        """Name to text of the scripts that make `build/TOP.json` of `TOP.v`."""
        context = {"top": top, "title": title, **facts}
        return {name: self.render(name, context) for name in self.scripts}


class Asked(TypedDict, total=False):
    """What the caller of a project may choose.

    core_mhz: frequency of the clocks without a constraint of their own; by default the board's. host: whether
    files for the host lie in `host/`; the README then tells of them.
    """

    core_mhz: float | None
    title: str
    host: bool


def board_project(
    kind: Kind, board: Board, verilog: str, top: str, asked: Asked, **facts: object
) -> dict[str, str]:
    """Path to text of a project that `make bitstream` builds.

    verilog: text with the module `top` and all that it needs; its ports are keys of the board's ports. facts:
    that the family's scripts need. Raises `UsageError` when the board can't carry the design's ports.
    """
    kind.require_board(board)
    ports = module_ports(verilog, top)
    verilog, contents = split_contents(verilog)
    title = plain_text(asked.get("title", "hlsgen accelerator"))
    context = {
        "board": board,
        "top": top,
        "title": title,
        "host": asked.get("host", False),
        "core_mhz": asked.get("core_mhz") or board.core_mhz,
        "memory_files": sorted(contents),
        "sources": [f"{top}.v", *sorted(contents)],
        "scripts": kind.scripts,
        "constraints": [f"{top}{end}" for end in kind.constraints],
        "pins": place_ports(board, ports),
        "clock_constrained": board.clock_port in ports,
    }
    project = {name: kind.render(name, context) for name in ("Makefile", "README.md")}
    project |= {f"{top}{end}": kind.render(name, context) for end, name in kind.constraints.items()}
    project |= kind.render_scripts(top, title, **facts)
    return dict(sorted((project | {f"{top}.v": verilog, **contents, FILE: licence()}).items()))


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """What a board shall run, and images for its self test."""

    graph: Graph
    program: Program
    image: Image
    vectors: Vectors
    title: str = "hlsgen accelerator"


def accelerator_project(
    kind: Kind,
    board: Board,
    accelerator: Accelerator,
    board_top: type[Top],
    project: Callable[[Top, str, Asked], Mapping[str, str]],
) -> dict[str, str | bytes]:
    """Path to contents of the project of an accelerator with its Image in block RAM.

    Beside what `project` makes of the board top and its Verilog it holds a program for the host at the serial
    port, with the vectors for its self test. Raises `UsageError` for a board or a clock that can't do it.
    """
    from hlsgen.emit.rtl import convert
    from hlsgen.rtl.board.top import Serial

    kind.require_board(board)
    serial, program = Serial(), accelerator.program
    top = board_top(
        program, accelerator.image.pack(), core_mhz=board.core_mhz, clock_mhz=board.clock_mhz, serial=serial
    )
    asked = Asked(core_mhz=top.core_mhz, title=accelerator.title, host=True)
    files = project(top, convert(top, kind.top), asked)
    host = host_files(accelerator.graph, program, accelerator.image, serial, accelerator.vectors)
    return dict(sorted((dict(files) | host).items()))
