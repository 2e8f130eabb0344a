# SPDX-License-Identifier: Apache-2.0
"""The Gowin project of a design."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.bitstream.nextpnr.write import write_board
from hlsgen.boards.board import Board
from hlsgen.emit.gowin.project import gowin_accelerator
from hlsgen.store.compiled import Compiled


def write(design: Compiled, board: Board) -> Mapping[str, str | bytes]:
    """See `write_board`."""
    return write_board(gowin_accelerator, design, board)
