# SPDX-License-Identifier: Apache-2.0
"""From an integer Graph to a Program and an Image that fit a board; open settings are chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hlsgen.boards.read import known_boards, load_board
from hlsgen.errors import DoesNotFit
from hlsgen.fit.choice import Choice, Chooser
from hlsgen.fit.search import Search
from hlsgen.fit.settings import Settings
from hlsgen.ir import Graph
from hlsgen.lower import Lowered
from hlsgen.lower.sizer import Sizer

if TYPE_CHECKING:
    from hlsgen.boards.board import Board
    from hlsgen.lower.size import ArrayShape


def lower_for(
    graph: Graph, array: ArrayShape, board: Board, settings: Settings | None = None
) -> tuple[Lowered, Choice]:
    """Lower a Graph so that it fits a board; ring, row width and schedule of `array` are the settings'.

    Raises `DoesNotFit` with the numbers of the variant with the smallest memories and with what would fit
    instead, and `UsageError`.
    """
    settings = settings or Settings()
    settings.check(board)
    sizer = Sizer(graph)
    try:
        choice = Chooser(sizer, array, board, settings).choose()
    except DoesNotFit as error:
        raise _with_options(error, Search(sizer, array, board, settings)) from None
    return sizer.lower(choice.array), choice


def _with_options(error: DoesNotFit, search: Search) -> DoesNotFit:
    """The same problems; to do is what was sized and fits, else how far the model is from fitting."""
    options = search.options()
    if options:
        fix = "what fits:" + "".join(f"\n    {search.text(option)}" for option in options)
    else:
        boards = [load_board(name) for name in known_boards()]
        largest = max(boards, key=lambda each: each.resources.ram_blocks)
        fix = (
            "use fewer tokens or a narrower model: no array up to this size fits a shipped board; "
            f"residual rows, features and pixels alone fill {search.least_blocks(largest)} RAM blocks, and "
            f"{largest.name}, the largest board, has {largest.resources.ram_blocks}"
        )
    *before, last = [replace(problem, fix="") for problem in error.problems]
    return DoesNotFit([*before, replace(last, fix=fix)])
