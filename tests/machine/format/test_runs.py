# SPDX-License-Identifier: Apache-2.0
"""Run lists as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import UsageError
from hlsgen.machine.format.runs import MOST_ROWS, list_words, pack_runs, unpack_runs


@pytest.mark.parametrize("row_width", [1, 2, 4])
def test_a_list_gives_its_rows(row_width: int) -> None:
    random = np.random.default_rng(row_width)
    for _ in range(50):
        stride, parts = int(random.integers(1, 9)), random.integers(-3, 40, (9, 2))
        rows = np.concatenate(
            [np.arange(a, a + 1 + b % 7) if a >= 0 else np.full(1 + b % 7, -1) for a, b in parts]
        )
        data = pack_runs(rows, stride, row_width)
        runs = np.frombuffer(data, "<u4").astype(np.int64)
        places, zeros = unpack_runs(runs, len(rows), stride, row_width)
        np.testing.assert_array_equal(zeros, rows < 0)
        np.testing.assert_array_equal(places[~zeros], rows[rows >= 0] * stride)
        assert len(data) == 8 * list_words(data)


def test_rows_side_by_side_are_one_run() -> None:
    assert list_words(pack_runs(np.arange(MOST_ROWS), 4, 1)) == 1
    assert list_words(pack_runs(np.arange(2 * MOST_ROWS + 1), 4, 1)) == 2
    assert list_words(pack_runs(np.full(100, -1), 4, 1)) == 1
    assert list_words(pack_runs(np.arange(6)[::-1], 4, 1)) == 3


def test_a_row_beyond_the_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="within 1048576 words of a memory, not row 1048576 at word 1048576"):
        pack_runs(np.array([1 << 20]), 1, 1)
