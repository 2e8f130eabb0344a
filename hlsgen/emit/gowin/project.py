# SPDX-License-Identifier: Apache-2.0
"""The Gowin project: board top, pins, synthesis script and Makefile, as path to text."""

from __future__ import annotations

from typing import Unpack

from hlsgen.boards import Board
from hlsgen.boards.families import GOWIN
from hlsgen.emit.serial.project import Accelerator, Asked, Kind, accelerator_project, board_project

TOP = "gowin_top"
KIND = Kind(
    family=GOWIN,
    top=TOP,
    article="a",
    shipped="tang-nano-20k",
    templates="gowin",
    constraints={".cst": "constraints.cst", ".sdc": "clock.sdc"},
    scripts=("memories.txt", "memories.v", "synthesis.ys"),
)
CELL_COST = 6
"""What Yosys makes of a cell of LUT memory: 4, and about 2 for the choice among the words."""


def gowin_project(board: Board, verilog: str, *, top: str = TOP, **asked: Unpack[Asked]) -> dict[str, str]:
    """A project for a Gowin board with pins: see `board_project`."""
    return board_project(KIND, board, verilog, top, asked, **_facts())


def synthesis_scripts(top: str, *, title: str) -> dict[str, str]:
    """Name to text of the scripts that make `build/TOP.json` of `TOP.v`."""
    return KIND.render_scripts(top, title, **_facts())


def _facts() -> dict[str, object]:
    return {"block_cost": CELL_COST * GOWIN.ram.lut_cells}


def gowin_accelerator(board: Board, accelerator: Accelerator) -> dict[str, str | bytes]:
    """See `accelerator_project`."""
    from hlsgen.rtl.gowin.top import GowinTop

    def project(top: GowinTop, text: str, asked: Asked) -> dict[str, str]:  # noqa: ARG001 no part needs a site
        return gowin_project(board, text, **asked)

    return accelerator_project(KIND, board, accelerator, GowinTop, project)
