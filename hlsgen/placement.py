"""Where attention's keys and values lie, for a board: in the machine, or in external memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hlsgen.boards.fit import check_fit
from hlsgen.errors import DoesNotFit, Problem, UsageError
from hlsgen.ir import Graph
from hlsgen.lower import Lowered, lower

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

    Raises `DoesNotFit` with the numbers of the schedule with the smaller memories, and `UsageError`.
    """
    _check(board, attention, span)
    if attention == "streamed":
        return _fitting(graph, replace(array, streamed=True, span=span), board)
    try:
        return _fitting(graph, array, board)
    except DoesNotFit:
        if attention == "resident" or board.image != "external":
            raise
    return _fitting(graph, replace(array, streamed=True, span=span), board)


def _fitting(graph: Graph, array: ArrayShape, board: Board) -> Lowered:
    lowered = lower(graph, array)
    check_fit(lowered.program.parameters, board, len(lowered.image.pack()))
    return lowered


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
