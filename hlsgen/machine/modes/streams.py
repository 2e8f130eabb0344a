# SPDX-License-Identifier: Apache-2.0
"""The streams of an Image as the machine takes from them: weights, constants and addends, in order."""

from __future__ import annotations

import numpy as np

from hlsgen.machine.format.commands import Command, ring_words_of
from hlsgen.machine.format.constants import HEADER, payload_words, word_bytes
from hlsgen.machine.format.image import Image
from hlsgen.machine.format.narrow import unpack_narrow
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters


class Streams:
    """Where each stream of one image has got to.

    Parameters
    ----------
    parameters
        The machine's shape.
    image
        Its sections.
    """

    def __init__(self, parameters: MachineParameters, image: Image) -> None:
        self._p = parameters
        self._constants, self._constant_at = image.constants, 0
        self._weights = np.frombuffer(image.weights, np.int8)
        self._weight_at = 0
        self._addends = np.frombuffer(image.addends, "<i2")
        self._addend_at = 0
        self._next_weights = self._next_constants = 0

    def begin(self, command: Command) -> None:
        """To the command's own sections, in a machine that may skip commands."""
        if self._p.planned:
            self._weight_at, self._constant_at = self._next_weights, self._next_constants
            self._next_weights += command.weight_units * SECTION_ALIGN
            self._next_constants += command.constant_units * SECTION_ALIGN

    def item(self) -> tuple[int, int, int, int, bytes]:
        """The next item of the constant stream: kind, bank, place, count, payload in whole words."""
        kind, bank, place, count, _ = HEADER.unpack_from(self._constant_words(1))
        return kind, bank, place, count, self._constant_words(payload_words(kind, count, self._p.columns))

    def _constant_words(self, count: int) -> bytes:
        size = count * word_bytes(self._p.columns)
        words = self._constants[self._constant_at : self._constant_at + size]
        self._constant_at += size
        return words

    def weights(self, blocks: int, steps: int, *, narrow: bool = False) -> np.ndarray:
        """Weights of one sweep, out of its ring words: [blocks, steps * D, C]."""
        depth, columns = self._p.depth, self._p.columns
        size = blocks * ring_words_of(steps, narrow) * depth * columns
        words = self._weights[self._weight_at : self._weight_at + size]
        self._weight_at += size
        if narrow:
            words = unpack_narrow(words.reshape(blocks, -1, depth, columns))[:, :steps]
        return words.astype(np.int64).reshape(blocks, steps * depth, columns)

    def addends(self, rows: int) -> np.ndarray:
        """A block's addends [rows, C]; in the stream rows go up to whole groups."""
        size = self._p.padded_rows(rows) * self._p.columns
        words = self._addends[self._addend_at : self._addend_at + size].astype(np.int64)
        self._addend_at += size
        return words.reshape(-1, self._p.columns)[:rows]
