# SPDX-License-Identifier: Apache-2.0
"""What would fit where a design does not: arrays, schedules, rings and boards, each of them sized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product

from hlsgen.boards.board import Board
from hlsgen.boards.read import known_boards, load_board
from hlsgen.errors import DoesNotFit
from hlsgen.fit.estimate import Fit, estimate
from hlsgen.fit.settings import Settings
from hlsgen.fit.shorten import weights_of
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.parameters import MachineParameters, ceil_div

_EDGES = (1, 2, 4, 8, 16, 32)
_RINGS = (64 * 1024, 16 * 1024)


@dataclass(frozen=True)
class Option:
    """A way to compile that fits."""

    board: Board
    array: ArrayShape
    fit: Fit


def shape_of(array: ArrayShape) -> tuple[int, int, int]:
    """Rows, columns, depth."""
    return array.rows, array.columns, array.depth


class Search:
    """Finds what fits, for one Graph."""

    def __init__(self, sizer: Sizer, array: ArrayShape, board: Board, settings: Settings) -> None:
        self._sizer, self._board, self._settings = sizer, board, settings
        self._asked = settings.variant(array, streamed=settings.attention == "streamed")
        self._weights = weights_of(sizer.graph)

    def options(self) -> list[Option]:
        """At most one with the array that was asked for, two other arrays, two other boards."""
        board, asked = self._board, self._asked
        found = list(islice(self._fitting(board, [asked]), 1))
        if self.least_blocks(board) <= board.resources.ram_blocks:
            found += islice(self._fitting(board, self._arrays(board)), 2)
        for name in known_boards():
            other = load_board(name)
            if other.name != board.name and self.least_blocks(other) <= other.resources.ram_blocks:
                default = self._on(other, other.array)
                found += islice(self._fitting(other, [self._on(other, shape_of(asked)), default]), 1)
        return found

    def text(self, option: Option) -> str:
        """Options of `hlsgen compile` that differ from the user's, and the least that they use."""
        a, asked, settings = option.array, self._asked, self._settings
        parts = [f"--board {option.board.name}"] if option.board.name != self._board.name else []
        if parts or shape_of(a) != shape_of(asked):
            parts.append("--array " + "x".join(map(str, shape_of(a))))
        if settings.attention != "auto" and a.streamed != asked.streamed:
            parts.append("--attention " + ("streamed" if a.streamed else "resident"))
        if settings.ring_bytes not in (None, a.ring_bytes):
            parts.append(f"--ring {a.ring_bytes}")
        if settings.row_width not in (None, a.row_width):
            parts.append(f"--row-width {a.row_width}")
        fit, have = option.fit, option.board.resources
        used = f"{fit.ram_blocks} of {have.ram_blocks} RAM blocks, {fit.dsp} of {have.dsp} DSP blocks"
        least = "from " if {"ring", "row width"} & set(settings.open) else ""
        return f"{' '.join(parts)} ({least}{used})"

    def least_blocks(self, board: Board) -> int:
        """RAM blocks that residual rows, features and pixels fill on any array, and an Image on the chip."""
        p = self._smallest(streamed=board.image == "external")
        if p is None:
            return 0
        bits = 8 * p.columns * (4 * p.residual_words + p.feature_words + p.image_words)
        image = 8 * self._weights if board.image == "on_chip" else 0
        return ceil_div(bits + image, board.family.ram.bits)

    def _smallest(self, streamed: bool) -> MachineParameters | None:
        """The machine with the least padding whose words commands can count."""
        for columns, depth in ((1, 1), (1, 64), (64, 64)):
            array = replace(self._asked, rows=1, columns=columns, depth=depth, row_width=1, streamed=streamed)
            try:
                return self._sizer.parameters(array)
            except DoesNotFit:
                continue
        return None

    def _on(self, board: Board, shape: tuple[int, int, int]) -> ArrayShape:
        rows, columns, depth = shape
        return replace(self._asked, rows=rows, columns=columns, depth=depth, bus_bytes=board.bus_bytes)

    def _arrays(self, board: Board) -> list[ArrayShape]:
        """Arrays with no more products than asked for or usual on the board: the largest first."""
        usable, default = int(board.resources.dsp * board.usable_dsp), board.array
        most = max(self._lanes(shape_of(self._asked)), self._lanes(default))
        shapes = [
            shape
            for shape in product(_EDGES, _EDGES, _EDGES)
            if shape != shape_of(self._asked)
            and self._lanes(shape) <= most
            and board.family.dsp(*shape, row_width=self._asked.row_width) <= usable
        ]
        shapes.sort(key=lambda shape: (-self._lanes(shape), _distance(shape, default)))
        return [self._on(board, shape) for shape in shapes]

    @staticmethod
    def _lanes(shape: tuple[int, int, int]) -> int:
        return shape[0] * shape[1] * shape[2]

    def _fitting(self, board: Board, arrays: list[ArrayShape]) -> Iterator[Option]:
        """The first schedule and ring that fit, for each array; the ring that was asked for comes first."""
        schedules = (False, True) if board.image == "external" else (False,)
        asked = self._asked.ring_bytes  # the least, where it is open
        rings = [asked, *(size for size in _RINGS if size < asked)]
        seen: set[tuple[int, int, int]] = set()
        for ring, array in product(rings, arrays):
            width = min(array.row_width, array.columns, array.depth)
            if shape_of(array) in seen or array.rows % width:
                continue
            for streamed in schedules:
                changed = replace(array, streamed=streamed, ring_bytes=ring, row_width=width)
                fit = self._fit(board, changed)
                if fit is not None:
                    seen.add(shape_of(array))
                    yield Option(board, changed, fit)
                    break

    def _fit(self, board: Board, array: ArrayShape) -> Fit | None:
        """The parts of a board that an array takes, or None where it does not fit."""
        try:
            parameters = self._sizer.parameters(array)
            fit = estimate(parameters, board, self._weights)
            if fit.fits and board.image == "on_chip":
                fit = estimate(parameters, board, self._sizer.outline(array).image.size)
        except DoesNotFit:
            return None
        return fit if fit.fits else None


def _distance(shape: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return sum(abs(a.bit_length() - b.bit_length()) for a, b in zip(shape, other, strict=True))
