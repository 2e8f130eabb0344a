# SPDX-License-Identifier: Apache-2.0
"""The Gowin project of a design."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.bitstream.machine import require_same_machine, self_test
from hlsgen.boards.board import Board
from hlsgen.emit.gowin.project import gowin_accelerator
from hlsgen.host.collector import collector_paused
from hlsgen.store.compiled import Compiled


def write(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    """The whole board in one Verilog file: serial port, Image in block RAM, accelerator; and its host."""
    require_same_machine(design, board)
    with collector_paused():
        return gowin_accelerator(
            board,
            design.graph,
            design.program,
            design.image,
            vectors=self_test(design),
            title=f"hlsgen accelerator {design.notes.get('model', '')}",
        )
