# SPDX-License-Identifier: Apache-2.0
"""What a user says of the accelerator: board, array, and what may be left to the cycle model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypedDict

from hlsgen.boards.board import Board
from hlsgen.boards.read import load_board
from hlsgen.errors import Problem, UsageError, shown
from hlsgen.errors.codes import Code
from hlsgen.fit.settings import DEFAULT_BOARD, Settings
from hlsgen.lower.size import ArrayShape


class Asked(TypedDict, total=False):
    """The fields of `CompileOptions` as keyword arguments of `compile` and `build`."""

    board: str
    array: str | tuple[int, int, int] | None
    row_width: int | None
    ring_bytes: int | None
    attention: str
    span: int | None


@dataclass(frozen=True, kw_only=True)
class CompileOptions(Settings):
    """Settings for an array on a board."""

    board: str = DEFAULT_BOARD
    """Name of a shipped board, or the path of a TOML file."""
    array: str | tuple[int, int, int] | None = None
    """Rows, columns and depth, also as text `RxCxD`; without it the board's own."""

    def target(self) -> tuple[Board, ArrayShape]:
        """The board and the array on it; raises `UsageError` with all that is wrong with them or the rest."""
        problems: list[Problem] = []
        board = shape = None
        try:
            board = load_board(self.board)
            self.check(board)
        except UsageError as error:
            problems += error.problems
        try:
            if edges := self._edges(board):
                rows, columns, depth = edges
                bus = board.bus_bytes if board else ArrayShape.bus_bytes
                shape = ArrayShape(rows=rows, columns=columns, depth=depth, bus_bytes=bus)
                self.variant(shape).parameters()
        except UsageError as error:
            problems += error.problems
        if problems or board is None or shape is None:
            raise UsageError(problems, code=Code.MACHINE)
        return board, shape

    def _edges(self, board: Board | None) -> tuple[int, int, int] | None:
        if isinstance(self.array, str):
            return parse_array(self.array)
        return self.array or (board.array if board else None)


def parse_array(text: str) -> tuple[int, int, int]:
    """Rows, columns and depth of an array written as RxCxD."""
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})", text)
    if match is None:
        raise UsageError(
            f"array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not {shown(text)}", code=Code.MACHINE
        )
    rows, columns, depth = map(int, match.groups())
    return rows, columns, depth
