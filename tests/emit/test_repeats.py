# SPDX-License-Identifier: Apache-2.0
"""Repeats in sequences: what is found, and that nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.emit.repeats import Section, find_repeats


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", []),
        ("a", [(0, 1, 1)]),
        ("abc", [(0, 3, 1)]),
        ("aaaa", [(0, 1, 4)]),
        ("xababab", [(0, 1, 1), (1, 2, 3)]),
        ("pabcabcabch", [(0, 1, 1), (1, 3, 3), (10, 1, 1)]),
        ("aabaab", [(0, 3, 2)]),
        ("ababxcdcdcd", [(0, 2, 2), (4, 1, 1), (5, 2, 3)]),
    ],
)
def test_sections(keys: str, expected: list[tuple[int, int, int]]) -> None:
    assert find_repeats(keys) == [Section(*item) for item in expected]


def test_sections_cover_every_sequence_in_order() -> None:
    random = np.random.default_rng(3)
    for _ in range(300):
        keys = random.integers(0, 3, random.integers(0, 30)).tolist()
        rebuilt, at = [], 0
        for section in find_repeats(keys):
            assert section.start == at
            period = keys[at : at + section.period]
            rebuilt += period * section.count
            at += section.period * section.count
        assert rebuilt == keys
