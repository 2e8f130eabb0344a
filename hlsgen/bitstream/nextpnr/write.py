# SPDX-License-Identifier: Apache-2.0
"""The project of a design for a board with a serial port."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hlsgen.bitstream.machine import require_same_machine, self_test
from hlsgen.boards.board import Board
from hlsgen.emit.serial.project import Accelerator
from hlsgen.host.collector import collector_paused
from hlsgen.store.compiled import Compiled

Project = Mapping[str, str | bytes]


def write_board(project: Callable[[Board, Accelerator], Project], design: Compiled, board: Board) -> Project:
    """The whole board in one Verilog file: serial port, Image in block RAM, accelerator; and its host.

    project: of the family. Raises `UsageError` for a board or a clock that can't do it.
    """
    require_same_machine(design, board)
    with collector_paused():
        accelerator = Accelerator(
            graph=design.graph,
            program=design.program,
            image=design.image,
            vectors=self_test(design),
            title=f"hlsgen accelerator {design.notes.get('model', '')}",
        )
        return project(board, accelerator)
