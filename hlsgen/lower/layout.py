# SPDX-License-Identifier: Apache-2.0
"""How a tensor's last axis lies in words: plain, or split into padded heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen.machine.format.parameters import ceil_div


@dataclass(frozen=True)
class Layout:
    """`size` elements; with heads > 0, each head's size/heads elements are padded to `head_words` words.

    run > 0: each `run_size` elements have place for `run`. least: words from a row to the next one, where
    that is more than a row's.
    """

    size: int
    columns: int
    heads: int = 0
    head_words: int = 0
    run: int = 0
    run_size: int = 0
    least: int = 0

    @classmethod
    def headed(cls, size: int, columns: int, depth: int, heads: int) -> Layout:
        """Heads padded to a multiple of max(columns, depth), so that lanes hold no stale elements."""
        granule = max(columns, depth)
        return cls(size, columns, heads, ceil_div(size // heads, granule) * granule // columns)

    @classmethod
    def split(cls, size: int, columns: int, heads: int) -> Layout:
        """Each head in whole words."""
        return cls(size, columns, heads, ceil_div(size // heads, columns))

    def joined(self, rows: int) -> Layout:
        """So many rows side by side, each in its own words."""
        if rows == 1:
            return self
        heads = max(1, self.heads) * rows
        return Layout(self.size * rows, self.columns, heads, self.head_words or self.words)

    @property
    def words(self) -> int:
        return self.heads * self.head_words if self.heads else ceil_div(self.elements, self.columns)

    @property
    def stride(self) -> int:
        """Words from a row to the next one."""
        return max(self.words, self.least)

    @property
    def elements(self) -> int:
        """Places of a row, up to the last one that an element has."""
        if self.heads:
            return self.words * self.columns
        return self.size // self.run_size * self.run if self.run else self.size

    @property
    def head_size(self) -> int:
        return self.size // self.heads if self.heads else self.size

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Rows [T, size] with zeros between padded heads; unchanged where there are none."""
        if not self.heads:
            return rows
        result = np.zeros((len(rows), self.words * self.columns), rows.dtype)
        result[:, self.positions()] = rows
        return result

    def positions(self) -> np.ndarray:
        """Padded position of each of the `size` elements."""
        index = np.arange(self.size)
        if self.run:
            return index // self.run_size * self.run + index % self.run_size
        if not self.heads:
            return index
        return index // self.head_size * self.head_words * self.columns + index % self.head_size
