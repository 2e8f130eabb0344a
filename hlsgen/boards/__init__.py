# SPDX-License-Identifier: Apache-2.0
"""Boards and parts as data, and whether a design fits them."""

from hlsgen.boards.board import Board, Port, Resources, known_boards, load_board, parse_board

__all__ = [
    "Board",
    "Port",
    "Resources",
    "known_boards",
    "load_board",
    "parse_board",
]
