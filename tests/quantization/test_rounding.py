# SPDX-License-Identifier: Apache-2.0
"""Weights to integers by what they meet: against a slow way, and against rounding to nearest."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.quantization.observers import MinMax
from hlsgen.quantization.rounding import DAMPING, Rounding, gptq, nearest
from hlsgen.quantization.statistics import Moments

WIDTH = 70
"""More than a block of columns."""


def _covariance(seed: int) -> np.ndarray:
    """Of inputs that go along with one another, of very different variances."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(WIDTH, WIDTH)) @ np.diag(np.geomspace(1, 30, WIDTH))
    return mixed @ mixed.T / WIDTH


def _weight(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-7.9, 7.9, (5, WIDTH))


def _one_by_one(row: np.ndarray, covariance: np.ndarray, levels: int) -> np.ndarray:
    """A row's integers: after each one the best real values of the others, by least squares."""
    damped = covariance + DAMPING * np.diag(covariance).mean() * np.eye(len(row))
    result, rest = np.zeros(len(row), np.int64), row.copy()
    left = list(np.argsort(-np.diag(covariance), kind="stable"))
    while left:
        place = left.pop(0)
        result[place] = np.clip(np.floor(rest[place] + 0.5), -levels, levels)
        if left:
            error = rest[place] - result[place]
            rest[left] += error * np.linalg.solve(damped[np.ix_(left, left)], damped[left, place])
    return result


@pytest.mark.parametrize("levels", [1, 7, 31])
def test_integers_are_those_of_least_squares_one_by_one(levels: int) -> None:
    weight, covariance = _weight(1) * levels / 7, _covariance(2)
    wanted = [_one_by_one(row, covariance, levels) for row in weight]
    np.testing.assert_array_equal(gptq(weight, covariance, levels), wanted)


def test_results_change_less_than_by_rounding_to_nearest() -> None:
    weight, covariance = _weight(3), _covariance(4)
    losses = [
        np.einsum("nk,kl,nl->", error, covariance, error)
        for error in (gptq(weight, covariance, 7) - weight, nearest(np.clip(weight, -7, 7)) - weight)
    ]
    assert losses[0] < losses[1] / 3


def test_inputs_that_go_alone_are_rounded_to_nearest() -> None:
    weight = _weight(5)
    for covariance in (np.diag(np.linspace(0, 3, WIDTH)), np.zeros((WIDTH, WIDTH))):
        np.testing.assert_array_equal(gptq(weight, covariance, 7), nearest(np.clip(weight, -7, 7)))


def test_without_rows_weights_are_rounded_to_nearest() -> None:
    weight, units = _weight(6), np.full(5, 0.9)
    wanted = nearest(np.clip(weight / 0.9, -7, 7))
    for moments in (None, Moments(WIDTH)):
        how = Rounding(MinMax(), 4, moments)
        np.testing.assert_array_equal(how.integers(weight, units), wanted)


def test_moments_are_means_and_covariances() -> None:
    random = np.random.default_rng(7)
    rows = random.integers(-128, 128, (3, 20, 6))
    moments = Moments(6)
    for part in rows:
        moments.update(part)
    flat = rows.reshape(-1, 6)
    assert moments.rows == 60
    np.testing.assert_allclose(moments.mean(), flat.mean(0))
    np.testing.assert_allclose(moments.covariance(), np.cov(flat.T, bias=True))
    part = moments.part(slice(2, 5))
    np.testing.assert_allclose(part.mean(), flat[:, 2:5].mean(0))
    np.testing.assert_allclose(part.covariance(), np.cov(flat[:, 2:5].T, bias=True))
