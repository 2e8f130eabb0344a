# SPDX-License-Identifier: Apache-2.0
"""A part of attention: what one command has of its heads, its query rows and its keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.key_runs import Run, key_unit
from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.ops.score_bias import HIDDEN

OVERHEAD = 64
"""Cycles that a cut counts for one command more: the stages run empty and fill again."""


@dataclass(frozen=True)
class Part:
    """Heads, tiles of query rows, and keys of one command, each from its first one to before its last one.

    windows: those that a command of one head goes through, with so many rows each; then tiles and keys are
    a window's. runs: of each tile the keys that it reads, in units of whole blocks and steps, where each has
    its own; `keys` says how many. kept: the first head's addends are those of all heads, and stay.
    adds: any addend is not 0; else the command takes none.
    """

    heads: tuple[int, int]
    tiles: tuple[int, int]
    keys: tuple[int, int]
    windows: tuple[int, int] = (0, 0)
    window_rows: int = 0
    runs: tuple[tuple[Run, ...], ...] = ()
    kept: bool = False
    adds: bool = False

    def rows(self, rows: int, queries: int) -> tuple[int, int]:
        """The query rows, of so many, in tiles of `rows`."""
        if self.window_rows:
            return self.windows[0] * self.window_rows, self.windows[1] * self.window_rows
        first, stop = self.tiles
        return first * rows, min(stop * rows, queries)

    @property
    def count(self) -> int:
        """Heads, or windows, that the command goes through."""
        first, stop = self.windows if self.window_rows else self.heads
        return stop - first

    def is_moved(self) -> bool:
        """Whether keys and values do not begin where those of the first head do."""
        return self.heads[0] > 0 or self.keys[0] > 0 or self.windows[0] > 0 or bool(self.runs)

    def keeps_addends(self, array: ArrayShape | MachineParameters) -> bool:
        """Whether the addends of the first head, or window, stay; their memory holds two groups or more."""
        windows = self.window_rows > 0 and self.count > 1 and self.addend_words(array) > 1
        return self.adds and (self.kept or windows)

    def addend_words(self, array: ArrayShape | MachineParameters) -> int:
        """Groups of rows whose addends a window, or a head, has."""
        blocks, groups = ceil_div(self.keys[1], array.columns), ceil_div(array.rows, array.row_width)
        tiles = self.tiles[1] - self.tiles[0]
        tail = self.window_rows - (tiles - 1) * array.rows if self.window_rows else array.rows
        return ((tiles - 1) * groups + ceil_div(tail, array.row_width)) * blocks

    def addends(self, every: np.ndarray, array: ArrayShape | MachineParameters) -> np.ndarray:
        """[heads, rows, keys]: those that the scores take, of `every` addend [heads, queries, keys].

        Those that stay are there once: of windows the first one's, of heads that are alike the first one's.
        """
        (from_row, to_row), (first, stop) = self.rows(array.rows, every.shape[1]), self.keys
        mine = every[slice(*self.heads)]
        if self.window_rows:
            return mine[:, from_row : from_row + self.window_rows, from_row + first : from_row + stop]
        mine = mine[:, from_row:to_row]
        return self._listed(mine, array) if self.runs else mine[..., first:stop]

    def _listed(self, addends: np.ndarray, array: ArrayShape | MachineParameters) -> np.ndarray:
        """Those of rows [heads, rows, keys], of the keys that each tile reads."""
        unit, (_, rows, keys) = key_unit(array), addends.shape
        padded = np.pad(addends, ((0, 0), (0, 0), (0, -keys % unit)), constant_values=HIDDEN)
        read = self.listed_keys(unit)[np.arange(rows) // array.rows]
        heads = padded[:1] if self.kept else padded
        return np.stack([np.take_along_axis(head, read, 1) for head in heads])

    def text(self, unit: int) -> str:
        """The keys that each tile reads, as a `View` has them."""
        tiles = (",".join(f"{first * unit}+{count * unit}" for first, count in tile) for tile in self.runs)
        return ";".join(tiles)

    def listed_keys(self, unit: int) -> np.ndarray:
        """[tiles, keys]: the keys that each tile reads, one behind the other; a unit has so many."""
        tiles = [[np.arange(first, first + count) for first, count in tile] for tile in self.runs]
        units = [np.concatenate(tile) for tile in tiles]
        return (np.array(units)[:, :, None] * unit + np.arange(unit)).reshape(len(units), -1)


def alike(each: np.ndarray) -> list[tuple[int, int]]:
    """Heads one after another for which `each` [heads, ...] has the same."""
    found, first = [], 0
    for head in range(1, len(each) + 1):
        if head == len(each) or not np.array_equal(each[head], each[first]):
            found.append((first, head))
            first = head
    return found
