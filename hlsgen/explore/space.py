# SPDX-License-Identifier: Apache-2.0
"""The points that may be looked at: which there are, where to begin, which are next to one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeVar

from hlsgen.boards.board import Board
from hlsgen.errors import UsageError
from hlsgen.explore.point import Point
from hlsgen.fit.options import parse_array
from hlsgen.fit.settings import WIDTHS
from hlsgen.lower.size import ArrayShape
from hlsgen.store.cache import key

Array = tuple[int, int, int]
ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
EDGES = (1, 2, 4, 8, 16, 32, 64)
RINGS = tuple(1024 << k for k in range(4, 13))
"""Budgets of the weight ring: 16 KiB to 4 MiB."""
LEAST = 64
"""No array is looked at that has fewer than a 64th of the multipliers of the largest one."""
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Space:
    """The values of each choice, the smallest first; arrays by board, and schedules as (attention, span)."""

    arrays: Mapping[str, tuple[Array, ...]]
    widths: tuple[int, ...]
    rings: tuple[int, ...]
    schedules: tuple[tuple[str, int], ...]
    logit_widths: tuple[int, ...]
    starts: Mapping[str, Array]
    """An array of each board to begin with."""
    many_blocks: Mapping[str, bool]
    """Whether a board's RTL may take as many multiplier blocks as it likes."""

    def points(self) -> Iterator[Point]:
        """All of them."""
        for board, arrays in self.arrays.items():
            for array, width, ring, schedule, logits in product(
                arrays, self.widths, self.rings, self.schedules, self.logit_widths
            ):
                point = _point(board, array, width, ring, schedule, logits)
                if self._legal(point):
                    yield point

    def seeds(self) -> list[Point]:
        """Each board's first array, then every other value of each edge, with middling settings."""
        rest = self.widths[0], _middle(self.rings), self.schedules[0], _middle(self.logit_widths)
        found = []
        for board, arrays in self.arrays.items():
            edges = [sorted({array[axis] for array in arrays}) for axis in range(3)]
            coarse = [a for a in arrays if all(edges[i].index(a[i]) % 2 == 0 for i in range(3))]
            found += [_point(board, array, *rest) for array in (self.starts[board], *coarse)]
        return list(dict.fromkeys(point for point in found if self._legal(point)))

    def neighbours(self, point: Point) -> list[Point]:
        """Points that differ in one choice by one step; an array may change two edges, one each way."""
        schedule = point.attention, point.span
        found = [replace(point, array=array) for array in self._near(point)]
        found += [replace(point, row_width=width) for width in _beside(self.widths, point.row_width)]
        found += [replace(point, ring_bytes=ring) for ring in _beside(self.rings, point.ring_bytes)]
        found += [
            replace(point, attention=name, span=span) for name, span in _beside(self.schedules, schedule)
        ]
        found += [replace(point, logit_width=bits) for bits in _beside(self.logit_widths, point.logit_width)]
        return [each for each in found if self._legal(each)]

    def scattered(self) -> list[Point]:
        """All points in an order without a pattern, the same each time."""
        return sorted(self.points(), key=lambda point: key(repr(point)))

    def _near(self, point: Point) -> list[Array]:
        arrays = self.arrays[point.board]
        edges = [sorted({array[axis] for array in arrays}) for axis in range(3)]
        found = []
        for array in arrays:
            steps = [edges[i].index(array[i]) - edges[i].index(point.array[i]) for i in range(3)]
            moved = [step for step in steps if step]
            one = len(moved) == 1 and abs(moved[0]) == 1
            if one or (len(moved) == 2 and sorted(moved) == [-1, 1]):
                found.append(array)
        return found

    def _legal(self, point: Point) -> bool:
        rows, columns, depth = point.array
        width = point.row_width
        wide = rows % width == 0 and width <= min(columns, depth)
        return wide and (width == self.widths[0] or self.many_blocks[point.board])


def make_space(
    boards: Mapping[str, Board],
    logit_widths: Sequence[int],
    *,
    arrays: Sequence[str] = (),
    widths: Sequence[int] = (),
    rings: Sequence[int] = (),
    attention: Sequence[str] = (),
    spans: Sequence[int] = (),
) -> Space:
    """The space of some boards, by the names that points have; what is not said is everything sensible.

    Raises `UsageError` for boards and arrays that are not possible, and where nothing is left.
    """
    given = tuple(dict.fromkeys(map(parse_array, arrays)))
    for rows, columns, depth in given:
        ArrayShape(rows=rows, columns=columns, depth=depth)
    chosen = {name: given or _arrays(board) for name, board in boards.items()}
    far = any(board.image == "external" for board in boards.values())
    kinds = list(attention) or ["resident", *(["streamed"] if far else [])]
    schedules = [("resident", 0)] if "resident" in kinds else []
    schedules += [("streamed", span) for span in sorted(set(spans) or {0})] if "streamed" in kinds else []
    space = Space(
        arrays=chosen,
        widths=tuple(sorted(set(widths) or set(WIDTHS))),
        rings=tuple(sorted(set(rings) or set(RINGS))),
        schedules=tuple(schedules),
        logit_widths=tuple(sorted(set(logit_widths))),
        starts={name: _start(board, chosen[name]) for name, board in boards.items()},
        # With a limit, those of a further row would be logic, which nobody counts.
        many_blocks={name: bool(widths) or board.family.most_dsp is None for name, board in boards.items()},
    )
    if next(space.points(), None) is None:
        raise UsageError("the choices leave no machine: rows must be a multiple of the row width")
    return space


def _arrays(board: Board) -> tuple[Array, ...]:
    """Arrays whose multipliers fit the board, as far as they are of its size."""
    usable = int(board.resources.dsp * board.usable_dsp)
    fitting = [array for array in product(ROWS, EDGES, EDGES) if board.family.dsp(*array) <= usable]
    most = max([rows * columns * depth for rows, columns, depth in fitting], default=0)
    return tuple(array for array in fitting if LEAST * array[0] * array[1] * array[2] >= most)


def _start(board: Board, arrays: Sequence[Array]) -> Array:
    """The board's own array, or the one nearest to it."""
    if board.array in arrays or not arrays:
        return board.array
    return min(
        arrays,
        key=lambda array: sum(
            abs(a.bit_length() - b.bit_length()) for a, b in zip(array, board.array, strict=True)
        ),
    )


def _point(board: str, array: Array, width: int, ring: int, schedule: tuple[str, int], logits: int) -> Point:
    attention, span = schedule
    return Point(
        board=board,
        array=array,
        row_width=width,
        ring_bytes=ring,
        attention=attention,
        span=span,
        logit_width=logits,
    )


def _beside(values: Sequence[_T], value: Any) -> list[_T]:
    """The values before and after one."""
    at = list(values).index(value)
    return [*values[max(0, at - 1) : at], *values[at + 1 : at + 2]]


def _middle(values: Sequence[_T]) -> _T:
    return values[len(values) // 2]
