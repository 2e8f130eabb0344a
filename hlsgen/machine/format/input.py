# SPDX-License-Identifier: Apache-2.0
"""How an input image lies in its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.windows import Windows, taken


@dataclass(frozen=True, kw_only=True)
class InputLayout:
    """The input image [channels, height, width] in its memory: order (y, c, x), rows padded to words.

    run > 0: the memory holds windows of the image side by side, `rows` times `columns` of them. A window has
    `patch_height` lines of `patch_width` pixels, which zeros fill up to `run`; it lies `down`, `across`
    behind its neighbour, and the first one `top`, `left` before the image. whole: not each of its lines, but
    all pixels of a window in the order (c, y, x) are a run, and a line of the memory is a row of windows.
    """

    channels: int
    height: int
    width: int
    row_words: int
    run: int = 0
    rows: int = 0
    columns: int = 0
    patch_height: int = 0
    patch_width: int = 0
    down: int = 0
    across: int = 0
    top: int = 0
    left: int = 0
    whole: int = 0

    AXES: ClassVar[tuple[int, int, int]] = (1, 0, 2)
    """Axes of an image [channels, height, width], the slowest one first."""
    WHOLE_AXES: ClassVar[tuple[int, ...]] = (0, 3, 2, 1, 4)
    """Axes of [row of windows, y, channel, window, x], the slowest one first, where windows are whole."""

    @property
    def lines(self) -> np.ndarray:
        """The image's line of each line in the memory; -1: zeros."""
        if not self.run:
            return np.arange(self.height)
        return Windows(self.rows, self.patch_height, self.down, self.top).places(self.height).reshape(-1)

    def pixels(self, columns: int) -> np.ndarray:
        """The image's column of each element of a line in the memory, -1: zero.

        Whole words of it, but where windows are whole: those of a row of windows.
        """
        if self.whole:
            return Windows(self.columns, self.patch_width, self.across, self.left).places(self.width).ravel()
        found = np.full(self.row_words * columns, -1)
        if not self.run:
            found[: self.width] = np.arange(self.width)
            return found
        places = Windows(self.columns, self.patch_width, self.across, self.left).places(self.width)
        runs = np.pad(places, ((0, 0), (0, self.run - self.patch_width)), constant_values=-1)
        found[: runs.size] = runs.reshape(-1)
        return found

    @property
    def words(self) -> int:
        return (self.rows if self.whole else len(self.lines) * self.channels) * self.row_words

    def windows(self, columns: int) -> dict[str, Any]:
        """Where windows are whole: how lines and pixels become windows; see `pack`."""
        if not self.whole:
            return {}
        shape = [self.rows, self.patch_height, self.channels, self.columns, self.patch_width]
        axes = list(self.WHOLE_AXES)
        return {"shape": shape, "axes": axes, "run": self.run, "line": self.row_words * columns}

    def pack(self, image: np.ndarray, columns: int) -> bytes:
        """int8 values [channels, height, width] as the machine reads them, padded to 64 bytes."""
        shape = (self.channels, self.height, self.width)
        if image.shape != shape:
            raise UsageError(f"input image must have shape {shape}, not {image.shape}")
        rows = taken(image.transpose(self.AXES).astype(np.int8), self.lines, 0)
        packed = taken(rows, self.pixels(columns), -1)
        if windows := self.windows(columns):
            packed = packed.reshape(windows["shape"]).transpose(windows["axes"])
            packed = packed.reshape(self.rows, self.columns, -1)
            packed = np.pad(packed, ((0, 0), (0, 0), (0, self.run - packed.shape[-1]))).reshape(self.rows, -1)
            packed = np.pad(packed, ((0, 0), (0, windows["line"] - packed.shape[-1])))
        return pad(packed.tobytes())


def pad(data: bytes) -> bytes:
    """Data followed by zeros up to a multiple of 64 bytes."""
    return data + bytes(-len(data) % SECTION_ALIGN)
