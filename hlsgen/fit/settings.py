# SPDX-License-Identifier: Apache-2.0
"""Options of a design beside its array, and which of them are left to the cycle model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code

if TYPE_CHECKING:
    from hlsgen.boards.board import Board
    from hlsgen.lower.size import ArrayShape

DEFAULT_BOARD = "ulx3s-85f"
SCHEDULES = ("auto", "resident", "streamed")
RINGS = tuple(size << 10 for k in range(4, 13) for size in (1 << k, 3 << k >> 1))
"""Budgets of the weight ring to choose from: 16 KiB to 6 MiB."""
WIDTHS = (1, 2, 4)
"""Row widths to choose from; wider ones are made when they are asked for."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The user's ring, row width, attention and span; None and `auto` leave them open."""

    ring_bytes: int | None = None
    """The weight ring's budget in bytes; without it what the cycle model finds to pay."""
    row_width: int | None = None
    """Rows that LOAD and DRAIN handle in a cycle; without it what the cycle model finds to pay."""
    attention: str = "auto"
    """Keys and values: `resident` in the machine, `streamed` from external memory, or `auto`, the faster."""
    span: int | None = None
    """Streamed: tiles of queries that share a reading of keys and values; 0, or without it: all of them."""

    def check(self, board: Board) -> None:
        """Hold them against a board; raises `UsageError` with all problems."""
        problems = []
        if self.attention not in SCHEDULES:
            what = f"attention must be one of {', '.join(SCHEDULES)}, not {self.attention!r}"
            problems.append(Problem(what))
        if self.span is not None and self.span < 0:
            problems.append(Problem(f"span must be 0 (all tiles) or more tiles of queries, not {self.span}"))
        if self.attention == "streamed" and board.image != "external":
            problems.append(
                Problem(
                    f"attention must be resident on {board.name}",
                    why="streamed attention keeps keys and values in external memory, and the board has none",
                    fix="--attention resident, or a board with external memory, such as zcu102 or kv260",
                )
            )
        if problems:
            raise UsageError(problems, code=Code.MACHINE)

    @property
    def open(self) -> tuple[str, ...]:
        """Names of the settings that the cycle model chooses."""
        left = (("ring", self.ring_bytes), ("row width", self.row_width))
        names = [name for name, value in left if value is None]
        return (*names, *(["attention"] if self.attention == "auto" else []))

    def schedules(self, board: Board) -> tuple[bool, ...]:
        """The choices for attention, the preferred one first: True is streamed, False is resident."""
        if board.image != "external":
            return (False,)
        return {"auto": (False, True), "resident": (False,), "streamed": (True,)}[self.attention]

    def rings(self) -> tuple[int, ...]:
        """Budgets to choose from, the smallest first."""
        return RINGS if self.ring_bytes is None else (self.ring_bytes,)

    def widths(self, array: ArrayShape, board: Board) -> tuple[int, ...]:
        """Row widths to choose from.

        Where the RTL takes a limited number of multiplier blocks, those of a further row would be logic,
        which nobody counts.
        """
        if self.row_width is not None:
            return (self.row_width,)
        most = 1 if board.family.most_dsp is not None else min(array.columns, array.depth)
        return tuple(width for width in WIDTHS if width <= most and array.rows % width == 0)

    def variant(
        self, array: ArrayShape, *, streamed: bool = False, ring: int = RINGS[0], width: int = 1
    ) -> ArrayShape:
        """The array with what is said here and, for what is open, these values; by default the least."""
        return replace(
            array,
            ring_bytes=ring if self.ring_bytes is None else self.ring_bytes,
            row_width=width if self.row_width is None else self.row_width,
            streamed=streamed,
            span=(self.span or 0) if streamed else 0,
        )

    def least(self, array: ArrayShape, board: Board) -> Iterator[ArrayShape]:
        """For each schedule the variant that takes the least memory."""
        for streamed in self.schedules(board):
            yield self.variant(array, streamed=streamed)
