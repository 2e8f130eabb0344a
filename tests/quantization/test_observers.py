# SPDX-License-Identifier: Apache-2.0
"""Histograms and observers against direct computation on all the values."""

from __future__ import annotations

import numpy as np
import pytest

from hlsgen.errors import UsageError
from hlsgen.quantization.observers import MeanSquareError, MinMax, OnGrid, Percentile, grid, parse
from hlsgen.quantization.statistics import BINS, Growth, Histogram


def _histogram(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.update(batch, float(np.abs(batch).max(initial=0.0)))
    return histogram


def _loss(values: np.ndarray, scale: float, levels: int) -> float:
    error = scale * np.clip(np.floor(values / scale + 0.5), -levels - 1, levels) - values
    return float((error**2).sum())


def test_the_histogram_does_not_depend_on_how_values_arrive() -> None:
    values = np.random.default_rng(0).normal(0, 1, 4000) ** 3
    orders = [np.sort(values), np.sort(values)[::-1], values[np.argsort(np.abs(values))]]
    results = [_histogram(values)] + [_histogram(*np.array_split(order, 37)) for order in orders]
    points, counts = results[0].points()
    assert counts.sum() == 4000
    for other in results[1:]:
        np.testing.assert_array_equal(other.points()[1], counts)
        np.testing.assert_allclose(other.points()[0], points, rtol=1e-12)
        assert other.largest == results[0].largest == np.abs(values).max()


def test_the_range_doubles_far_and_keeps_signs() -> None:
    values, counts = _histogram(np.array([-1e-9, 1e-9, 1e-9]), np.array([1e9]), np.zeros(2)).points()
    np.testing.assert_allclose(values, [-1e-9, 2e-9 / 4, 1e9])
    np.testing.assert_array_equal(counts, [1, 4, 1])


@pytest.mark.parametrize("value", [0.0, 1e-300, 5e-324, 1.0, 2.0, -2.0, 1e300])
def test_single_values_are_kept_exactly(value: float) -> None:
    histogram = _histogram(np.full(7, value))
    assert histogram.largest == abs(value)
    values, counts = histogram.points()
    assert counts.tolist() == [7]
    assert values[0] == pytest.approx(value, rel=1e-15)


def test_bins_are_finer_than_an_eighth_of_the_scale() -> None:
    values = np.linspace(-1, 1, 100_000)
    points, _ = _histogram(values).points()
    width = 2 / BINS  # the worst case: the largest value lies just inside a doubled range
    assert np.diff(points).max() <= 1.01 * width
    assert width <= MinMax().scale(_histogram(values), 127) / 8


def test_min_max_and_percentile_agree_with_numpy() -> None:
    values = np.random.default_rng(1).normal(0, 1, 50_000)
    histogram = _histogram(*np.array_split(values, 9))
    assert MinMax().scale(histogram, 127) == np.abs(values).max() / 127
    for percent in (90.0, 99.0, 99.9):
        expected = np.percentile(np.abs(values), percent) / 127
        assert Percentile(percent).scale(histogram, 127) == pytest.approx(expected, rel=0.01)
    assert Percentile(100.0).scale(histogram, 127) == MinMax().scale(histogram, 127)
    rows = values.reshape(50, -1)
    np.testing.assert_array_equal(MinMax().row_scales(rows, 127), np.abs(rows).max(1) / 127)
    np.testing.assert_array_equal(
        Percentile(99.0).row_scales(rows, 127), np.percentile(np.abs(rows), 99, 1) / 127
    )


@pytest.mark.parametrize(
    ("levels", "power", "gain"), [(127, 1, 0.96), (127, 3, 0.9), (7, 1, 0.5), (7, 3, 0.4)]
)
def test_mse_loses_as_little_as_any_scale_tried_on_all_values(levels: int, power: int, gain: float) -> None:
    values = np.random.default_rng(2).normal(0, 1, 40_000) ** power
    chosen = MeanSquareError().scale(_histogram(*np.array_split(values, 5)), levels)
    top = np.abs(values).max() / levels
    least = min(_loss(values, top / f, levels) for f in np.linspace(0.9, 5, 300))
    assert _loss(values, chosen, levels) <= least * 1.01
    assert _loss(values, chosen, levels) < _loss(values, top, levels) * gain


def test_mse_finds_the_grid_that_pixels_lie_on() -> None:
    pixels = np.arange(17) / 8 - 1
    scale = MeanSquareError().scale(_histogram(pixels), 127)
    assert _loss(pixels, scale, 127) < 1e-24
    assert _loss(pixels, 1 / 127, 127) > 1e-5


def test_mse_counts_errors_behind_the_function() -> None:
    values = np.concatenate([np.linspace(0, 1, 3000), np.linspace(-50, 0, 3000)])
    relu = MeanSquareError().scale(_histogram(values), 127, lambda x: np.maximum(x, 0))
    plain = MeanSquareError().scale(_histogram(values), 127)
    assert relu < plain / 4


def test_mse_row_scales_are_per_row_and_never_worse_than_min_max() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(0, 1, (40, 3000)) ** np.where(np.arange(40) % 2, 5, 1)[:, None]
    rows[7] = 0
    scales, plain = MeanSquareError().row_scales(rows, 7), MinMax().row_scales(rows, 7)
    assert scales[7] == plain[7] == 0
    losses = np.array(
        [_loss(r, s, 7) / _loss(r, p, 7) for r, s, p in zip(rows, scales, plain, strict=True) if s]
    )
    assert (losses <= 1).all()
    assert np.median(losses) < 0.7
    np.testing.assert_allclose(MeanSquareError().row_scales(rows[:3] * 8, 7), scales[:3] * 8)


def test_zeros_give_a_zero_scale() -> None:
    for observer in (MinMax(), Percentile(), MeanSquareError()):
        assert observer.scale(_histogram(np.zeros(5)), 127) == 0.0


@pytest.mark.parametrize("percent", [0, 10, 20])
def test_mse_cuts_off_no_more_than_it_may(percent: int) -> None:
    values = np.random.default_rng(3).normal(size=20000)
    values[0] = 40.0  # all others ask for a finer scale
    kept = parse(f"mse:{percent}").scale(_histogram(values), 7) * 7
    assert kept == pytest.approx(40.0 * (1 - percent / 100), rel=0.02)
    assert parse("mse").scale(_histogram(values), 7) * 7 < 20.0
    (row,) = parse(f"mse:{percent}").row_scales(values[None], 7) * 7
    assert row >= 40.0 * (1 - percent / 100) - 1e-9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minmax", "observer must be min-max, percentile, percentile:P, mse or mse:P, not 'minmax'"),
        ("mse:81", "mse must be in 0..80, not '81'"),
        ("mse:x", "mse must be in 0..80, not 'x'"),
        ("percentile:101", "percentile must be in 50..100, not '101'"),
        ("percentile:x", "percentile must be in 50..100, not 'x'"),
        ("percentile:nan", "percentile must be in 50..100, not 'nan'"),
    ],
)
def test_unknown_observers_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_observers_parse() -> None:
    texts = ("min-max", "mse", "percentile", "percentile:99.5")
    assert [parse(t) for t in texts] == [MinMax(), MeanSquareError(), Percentile(99.99), Percentile(99.5)]


def test_growth_compares_the_last_quarter_with_the_rest() -> None:
    images = np.ones((100, 4))
    images[10, 2], images[80, 1] = -2, 3
    for parts in (1, 7):
        growth = Growth()
        for batch in np.array_split(images, parts):
            growth.update(batch)
        assert (growth.low, growth.high, growth.images) == (-2, 3, 100)
        assert (growth.early, growth.largest) == (2, 3)


@pytest.mark.parametrize("levels", [7, 127])
def test_rows_on_a_grid_keep_it(levels: int) -> None:
    """Also where float32 and a factor lie on it; a row by row, and one step for all rows."""
    random = np.random.default_rng(0)
    integers = random.integers(-levels, levels + 1, (9, 40))
    integers[:, 3] = levels
    scales = random.uniform(1e-4, 3.0, (9, 1))
    rows = (integers * scales).astype(np.float32).astype(np.float64) * 0.3535533905932738
    found = OnGrid(MinMax()).row_scales(rows, levels)
    assert np.array_equal(np.round(rows / found[:, None]), integers)
    one = random.integers(-(levels // 2), levels // 2, (9, 40)) * 2
    one[0] = random.integers(-levels, levels + 1, 40)
    one[0, 0] = levels
    found = OnGrid(MinMax()).row_scales(one * 0.25, levels)
    assert np.array_equal(np.round(one * 0.25 / found[:, None]), one)


def test_rows_off_a_grid_have_the_other_observers_scale() -> None:
    rows = np.random.default_rng(1).normal(size=(6, 12))
    rows[2] = 0.0
    assert not grid(rows, 127).any()
    assert np.array_equal(OnGrid(MinMax()).row_scales(rows, 127), MinMax().row_scales(rows, 127))


def test_a_row_of_one_magnitude_has_all_levels() -> None:
    found = grid(np.array([[0.5, 0.0, -0.5], [0.3, 0.0, 0.0]]), 127)
    assert found == pytest.approx([0.5 / 127, 0.3 / 127])
