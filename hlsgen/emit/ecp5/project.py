# SPDX-License-Identifier: Apache-2.0
"""The ECP5 project: board top, pins, synthesis script and Makefile, as path to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from hlsgen.boards import Board
from hlsgen.boards.families import ECP5
from hlsgen.emit.ecp5.floorplan import place_multipliers, place_rams
from hlsgen.emit.serial.project import Accelerator, Asked, Kind, accelerator_project, board_project
from hlsgen.fit.memories import weight_ring

TOP = "ecp5_top"
KIND = Kind(
    family=ECP5,
    top=TOP,
    article="an",
    shipped="ulx3s-85f",
    templates="ecp5",
    constraints={".lpf": "constraints.lpf"},
    scripts=("constants.v", "registers.v", "synthesis.ys"),
)


def ecp5_project(
    board: Board,
    verilog: str,
    *,
    top: str = TOP,
    sums: Sequence[Sequence[str]] = (),
    rams: Sequence[str] = (),
    **asked: Unpack[Asked],
) -> dict[str, str]:
    """A project for an ECP5 board with pins: see `board_project`.

    sums: multiplier blocks whose products are added together, to lie side by side: `PATH/CELL` is instance
    `CELL` in module `top.PATH`. rams: RAM blocks to lie in the middle, as Yosys names them after synthesis;
    those that it doesn't make are passed over.
    """
    facts = _facts(place_multipliers(board, sums), place_rams(board, rams))
    return board_project(KIND, board, verilog, top, asked, **facts)


def synthesis_scripts(top: str, *, title: str) -> dict[str, str]:
    """Name to text of the scripts that make `build/TOP.json` of `TOP.v`, without sites for blocks."""
    return KIND.render_scripts(top, title, **_facts({}, {}))


def _facts(multipliers: Mapping[str, str], rams: Mapping[str, str]) -> dict[str, object]:
    """Where blocks have to lie."""
    return {"multiplier_sites": multipliers, "ram_sites": rams}


def ecp5_accelerator(board: Board, accelerator: Accelerator) -> dict[str, str | bytes]:
    """See `accelerator_project`."""
    from hlsgen.rtl.ecp5.top import WEIGHT_RING, Ecp5Top

    def project(top: Ecp5Top, text: str, asked: Asked) -> dict[str, str]:
        ring = weight_ring(accelerator.program.parameters, board.family.ram)
        rams = [f"{WEIGHT_RING}.0.{index}" for index in range(ring.blocks)]
        return ecp5_project(board, text, sums=top.sums, rams=rams, **asked)

    return accelerator_project(KIND, board, accelerator, Ecp5Top, project)
