# SPDX-License-Identifier: Apache-2.0
"""Norm shifts: the power of two of each element of a layer norm's rows, as the Image holds them.

An element has 4 bits, of which the lowest three count: element n of a row in bits 4*(n % 2).. of byte n // 2.
A row ends at a whole word of the memory, 64 elements; what lies behind its elements is 0.
"""

from __future__ import annotations

import numpy as np

from hlsgen.numerics import NORM_SHIFT_BITS

WORD_ELEMENTS = 64
"""Elements of a word of the memory: as many as the widest array has columns."""
PART_ELEMENTS = 16
"""Elements of 8 bytes, which the constant stream brings at once."""
PART_BITS = NORM_SHIFT_BITS * PART_ELEMENTS
"""Bits that they take in the machine."""
WORD_BYTES = WORD_ELEMENTS // 2
PARTS = WORD_ELEMENTS // PART_ELEMENTS


def pack_shifts(shifts: np.ndarray) -> bytes:
    """The shifts of a row's elements [N], up to whole words."""
    every = np.zeros(-(-len(shifts) // WORD_ELEMENTS) * WORD_ELEMENTS, np.uint8)
    every[: len(shifts)] = shifts
    return (every[::2] | every[1::2] << 4).tobytes()


def unpack_shifts(data: bytes) -> np.ndarray:
    """The shifts of whole words or parts of words, [elements]."""
    pairs = np.frombuffer(data, np.uint8).astype(np.int64)
    return np.stack([pairs & 7, pairs >> 4 & 7], -1).reshape(-1)
