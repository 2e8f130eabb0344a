# SPDX-License-Identifier: Apache-2.0
"""Boards, parts and their families as data."""

from hlsgen.boards.board import Board, Port, Resources
from hlsgen.boards.read import known_boards, load_board, parse_board

__all__ = [
    "Board",
    "Port",
    "Resources",
    "known_boards",
    "load_board",
    "parse_board",
]
