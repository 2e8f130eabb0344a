# SPDX-License-Identifier: Apache-2.0
"""Keys and values in external memory: where streamed attention writes them and reads them again.

Each has a region of `workspace_units` * 64 bytes. DRAIN writes a head after the other, in its own order
(tile, word, row; rows up to whole groups), each head up to a multiple of 64 bytes: both ways are sequential.
"""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, Target
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters


class Workspace:
    """The bytes of both regions.

    Parameters
    ----------
    parameters
        The machine's shape.
    """

    def __init__(self, parameters: MachineParameters) -> None:
        self._p = parameters
        self._bytes = np.zeros(parameters.workspace_bytes, np.int8)
        self._at = 0

    def _base(self, target: Target) -> int:
        return 0 if target is Target.KEYS else self._p.workspace_units * SECTION_ALIGN

    def write(self, target: Target, words: np.ndarray, first: bool, last: bool) -> None:
        """A block's words [rows, C]; the first of the tensor, or the last of a head."""
        p = self._p
        padded = np.zeros((p.padded_rows(len(words)), p.columns), np.int8)
        padded[: len(words)] = words
        start = self._base(target) if first else self._at
        self._at = start + padded.size
        self._bytes[start : self._at] = padded.reshape(-1)
        if last:
            end = -(-self._at // SECTION_ALIGN) * SECTION_ALIGN
            self._bytes[self._at : end] = 0
            self._at = end

    def read(self, target: Target, command: Command, head: int) -> np.ndarray:
        """A head's rows [keys, head_words, C]."""
        p = self._p
        at = self._base(target) + head * command.head_units * SECTION_ALIGN
        tiles = []
        for first in range(0, command.keys, p.rows):
            rows = min(p.rows, command.keys - first)
            size = command.head_words * p.padded_rows(rows) * p.columns
            tile = self._bytes[at : at + size].reshape(command.head_words, -1, p.columns)
            tiles.append(tile[:, :rows].transpose(1, 0, 2))
            at += size
        return np.concatenate(tiles)
