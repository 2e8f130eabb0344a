# SPDX-License-Identifier: Apache-2.0
"""Boards and parts as data, and whether a design fits them."""

from hlsgen.boards.board import Board, Port, Resources, known_boards, load_board, parse_board
from hlsgen.boards.fit import Fit, check_fit, estimate

__all__ = [
    "Board",
    "Fit",
    "Port",
    "Resources",
    "check_fit",
    "estimate",
    "known_boards",
    "load_board",
    "parse_board",
]
