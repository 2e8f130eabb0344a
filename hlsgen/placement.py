# SPDX-License-Identifier: Apache-2.0
"""Where attention's keys and values lie, for a board: in the machine, or in external memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hlsgen.boards.board import known_boards, load_board
from hlsgen.boards.fit import check_fit
from hlsgen.errors import DoesNotFit, Problem, UsageError
from hlsgen.ir import Graph
from hlsgen.lower import Lowered, lower
from hlsgen.options import Search

if TYPE_CHECKING:
    from hlsgen.boards.board import Board
    from hlsgen.lower.size import ArrayShape

SCHEDULES = ("auto", "resident", "streamed")


def lower_for(
    graph: Graph, array: ArrayShape, board: Board, attention: str = "auto", span: int = 0
) -> Lowered:
    """Lower a Graph so that it fits a board.

    Parameters
    ----------
    attention
        `resident`, `streamed`, or `auto`: resident if that fits, else streamed where the board has external
        memory.
    span
        Query tiles that share a reading of a head's keys and values; 0: all.

    Raises `DoesNotFit` with the numbers of the schedule with the smaller memories and with what would fit
    instead, and `UsageError`.
    """
    _check(board, attention, span)
    streamed = replace(array, streamed=True, span=span)
    tried = {"resident": [array], "streamed": [streamed], "auto": [array, streamed]}[attention]
    if board.image != "external":
        tried = tried[:1]
    for shape in tried[:-1]:
        try:
            return _fitting(graph, shape, board)
        except DoesNotFit:
            continue
    try:
        return _fitting(graph, tried[-1], board)
    except DoesNotFit as error:
        raise _with_options(error, graph, tried[0], board) from None


def _fitting(graph: Graph, array: ArrayShape, board: Board) -> Lowered:
    lowered = lower(graph, array)
    check_fit(lowered.program.parameters, board, len(lowered.image.pack()))
    return lowered


def _with_options(error: DoesNotFit, graph: Graph, array: ArrayShape, board: Board) -> DoesNotFit:
    """The same problems; to do is what was sized and fits, else how far the model is from fitting."""
    search = Search(graph, array, board)
    options = search.options()
    if options:
        fix = "what fits:" + "".join(f"\n    {option.text(array, board)}" for option in options)
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


def _check(board: Board, attention: str, span: int) -> None:
    problems = []
    if attention not in SCHEDULES:
        problems.append(Problem(f"attention must be one of {', '.join(SCHEDULES)}, not {attention!r}"))
    if span < 0:
        problems.append(Problem(f"span must be 0 (all tiles) or more tiles of queries, not {span}"))
    if attention == "streamed" and board.image != "external":
        problems.append(
            Problem(
                f"attention must be resident on {board.name}",
                why="streamed attention keeps keys and values in external memory, and the board has none",
                fix="--attention resident, or a board with external memory, such as zcu102 or kv260",
            )
        )
    if problems:
        raise UsageError(problems)
