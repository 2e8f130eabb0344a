# SPDX-License-Identifier: Apache-2.0
"""Walks: every step in use is read, in order of the taps, and no step beyond the row."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.lower.taps import Walk, find_walk


def _used(blocks: int, steps: int, *read: tuple[int, int]) -> np.ndarray:
    used = np.zeros((blocks, steps), bool)
    for block, step in read:
        used[block, step] = True
    return used


def _of(walk: Walk, blocks: int, steps: int) -> np.ndarray:
    """The steps that a walk reads, as `find_walk` takes them."""
    return _used(blocks, steps, *((block, step) for block in range(blocks) for step in walk.read(block)))


@pytest.mark.parametrize(
    "walk",
    [
        Walk(taps=4, size=2, stride=6, advance=2),
        Walk(taps=1, size=3, stride=0, advance=0),
        Walk(taps=1, size=1, stride=0, advance=1),
        Walk(taps=3, size=1, stride=2, advance=0),
        Walk(taps=2, size=2, stride=5, advance=1),
    ],
)
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_walk_is_found_again(walk: Walk, blocks: int) -> None:
    steps = max(int(walk.read(blocks - 1).max()) + 1, walk.steps + 1)
    found = find_walk(_of(walk, blocks, steps))
    assert found is not None
    assert found.steps == walk.steps
    assert all(np.array_equal(found.read(block), walk.read(block)) for block in range(blocks))


def test_random_patterns_are_covered() -> None:
    random, shorter = np.random.default_rng(1), 0
    for _ in range(400):
        blocks, steps = random.integers(1, 7, 2)
        used = random.random((blocks, steps)) < random.choice([0.1, 0.3])
        walk = find_walk(used)
        if walk is None:
            continue
        shorter += 1
        assert walk.steps < steps
        for block in range(blocks):
            read = walk.read(block)
            assert read.max() < steps
            assert set(np.flatnonzero(used[block])) <= set(read)
    assert shorter > 100


def test_dense_weights_have_no_walk() -> None:
    assert find_walk(np.ones((3, 4), bool)) is None
