# SPDX-License-Identifier: Apache-2.0
"""What every family's project is made from: the machine's Verilog, and images for a self test."""

from __future__ import annotations

from hlsgen.boards.board import Board
from hlsgen.emit.device import Vectors
from hlsgen.emit.rtl_cache import rtl_text
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.store.compiled import Compiled
from hlsgen.store.folder import sources
from hlsgen.store.paths import PLAIN

SELF_TEST = 16
"""Samples that a host's self test takes along."""


def machine_verilog(design: Compiled, board: Board) -> str:
    """The build folder's own text where it is made for the board's kind of device, else one for that kind."""
    delivered, target = sources(design, "rtl").get(PLAIN), board.family.project_target
    if delivered is not None and target == design.rtl_target:
        return delivered
    require_same_machine(design, board)
    return rtl_text(design.program.parameters, target)


def require_same_machine(design: Compiled, board: Board) -> None:
    """Before Verilog is generated for a board: it must be of the machine that the build folder holds."""
    fresh = rtl_text(design.program.parameters, design.rtl_target)
    if sources(design, "rtl").get(PLAIN, fresh) != fresh:
        raise UsageError(
            Problem(
                f"{PLAIN} must be what this version generates, for an export to {board.name}",
                why="the board's Verilog is generated anew, and would be another machine than the folder's",
                fix="hlsgen compile again",
            ),
            code=Code.STALE,
        )


def self_test(design: Compiled) -> Vectors:
    """Images, and what the golden model makes of them."""
    images = design.samples.images[:SELF_TEST]
    tasks = range(design.graph.tasks)
    first, *others = (values for task in tasks for values in design.results(images, task).values())
    return Vectors(images=images, outputs=first, others=tuple(others))
