# SPDX-License-Identifier: Apache-2.0
"""Norm shifts as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.machine.format.norm_shifts import WORD_BYTES, pack_shifts, unpack_shifts


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 200])
def test_a_row_takes_whole_words_and_comes_back(width: int) -> None:
    shifts = np.random.default_rng(width).integers(0, 8, width)
    data = pack_shifts(shifts)
    assert len(data) == WORD_BYTES * -(-width // 64)
    found = unpack_shifts(data)
    np.testing.assert_array_equal(found[:width], shifts)
    assert not found[width:].any()


def test_the_lower_half_of_a_byte_comes_first() -> None:
    assert pack_shifts(np.array([1, 2, 7]))[:2] == b"\x21\x07"
    assert unpack_shifts(b"\xf8\x93").tolist() == [0, 7, 3, 1]  # a fourth bit does not count
