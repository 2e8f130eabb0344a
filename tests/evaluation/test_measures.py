# SPDX-License-Identifier: Apache-2.0
"""Measures against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hlsgen.display.share import Share
from hlsgen.evaluation.measures import centred, confusion, cosines, in_first
from hlsgen.quantization.noise import decibels


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_ranks_are_those_of_a_stable_sort(count: int) -> None:
    rng = np.random.default_rng(count)
    logits = rng.integers(-3, 4, (200, 7))  # many are equal
    labels = rng.integers(0, 9, 200)
    right = 0
    for row, label in zip(logits, labels, strict=True):
        order = sorted(range(7), key=lambda index: (-row[index], index))
        right += label in order[:count]
    assert in_first(logits, labels, count) == Share(right, 200)
    first = in_first(logits, labels, 1).count
    assert first == int((logits.argmax(1) == labels).sum())


def test_the_confusion_counts_each_known_label() -> None:
    table = confusion(np.array([0, 1, 1, 2, 9]), np.array([0, 2, 2, 2, 1]), 3)
    assert table.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 1]]


def test_noise_is_that_of_the_formula() -> None:
    reference, error = np.array([[3.0, 4.0]]), np.array([[0.0, 0.05]])
    assert decibels(reference, error) == pytest.approx(10 * math.log10(25 / 0.0025))
    assert decibels(reference, np.zeros((1, 2))) is None
    assert decibels(np.zeros((1, 2)), error) is None
    values = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert centred(values).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_the_cosine_of_nothing_is_nothing() -> None:
    one = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 2.0]])
    assert cosines(one, np.array([[3.0, 3.0], [1.0, 0.0], [-1.0, -1.0]])) == pytest.approx(
        [0.5**0.5, 0.0, -1.0]
    )
