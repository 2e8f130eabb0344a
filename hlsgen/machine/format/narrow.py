# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits in ring words: a byte holds those of two steps, the first one's in its low half."""

from __future__ import annotations

import numpy as np

from hlsgen.errors import RangeOverflow

NARROW_BITS = 4
NARROW_RANGE = (-8, 7)


def pack_narrow(words: np.ndarray) -> np.ndarray:
    """Ring words [blocks, ceil(steps / 2), D, C] of the weights of whole steps [blocks, steps, D, C].

    After an odd number of steps the last word's high halves are zero. Raises `RangeOverflow` where a weight
    has more than 4 bits.
    """
    low, high = NARROW_RANGE
    if words.size and (words.min() < low or words.max() > high):
        raise RangeOverflow(f"weights of 4 bits must be in {low}..{high}")
    if words.shape[1] % 2:
        words = np.concatenate([words, np.zeros_like(words[:, :1])], 1)
    return ((words[:, 1::2] << NARROW_BITS) | (words[:, ::2] & 15)).astype(np.int8)


def unpack_narrow(words: np.ndarray) -> np.ndarray:
    """The inverse: the weights of two steps for each word, int8 [blocks, 2 * words, D, C]."""
    low, high = (words.astype(np.int8) << NARROW_BITS) >> NARROW_BITS, words >> NARROW_BITS
    return np.stack([low, high], 2).reshape(len(words), -1, *words.shape[2:])
