# SPDX-License-Identifier: Apache-2.0
"""The integer arithmetic against exact integers and rationals, and its error bounds measured."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hlsgen import numerics


@pytest.fixture
def random() -> np.random.Generator:
    """The same numbers for each test, whichever others run."""
    return np.random.default_rng(0)


def _rounded(numerator: int, shift: int) -> int:
    """numerator / 2**shift to the nearest integer, halves up, by rational arithmetic."""
    return math.floor(Fraction(numerator, 1 << shift) + Fraction(1, 2))


def _clamp(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def test_round_shift_exhaustively_for_12_bits() -> None:
    x = np.arange(-2048, 2048)
    for shift in range(15):
        expected = [_rounded(int(i), shift) for i in x]
        assert numerics.round_shift(x, shift).tolist() == expected


def test_round_shift_of_wide_numbers_with_a_shift_each(random: np.random.Generator) -> None:
    x = random.integers(-(1 << 61), 1 << 61, 20_000)
    shift = random.integers(0, 60, len(x))
    expected = [_rounded(int(a), int(s)) for a, s in zip(x, shift, strict=True)]
    assert numerics.round_shift(x, shift).tolist() == expected


@pytest.mark.parametrize(
    ("x", "shift", "expected"), [(1, 1, 1), (-1, 1, 0), (-3, 1, -1), (-5, 0, -5), (7, 3, 1)]
)
def test_halves_round_up(x: int, shift: int, expected: int) -> None:
    assert numerics.round_shift(x, shift) == expected


def test_saturate_exhaustively_for_8_bits() -> None:
    x = np.arange(-300, 300)
    for low, high in ((-128, 127), (0, 255), (-8, 7), (5, 5), (-32768, 32767)):
        assert numerics.saturate(x, low, high).tolist() == [_clamp(int(i), low, high) for i in x]


def test_requantize_exhaustively_for_small_widths() -> None:
    acc = np.arange(-128, 128)
    for multiplier in range(64):
        for shift in range(9):
            expected = [_clamp(_rounded(int(a) * multiplier, shift), -16, 15) for a in acc]
            assert numerics.requantize(acc, multiplier, shift, -16, 15).tolist() == expected


def test_requantize_at_full_width(random: np.random.Generator) -> None:
    ends = np.array([-(1 << 31), (1 << 31) - 1, 0, 1, -1])
    acc = np.concatenate([random.integers(-(1 << 31), 1 << 31, 20_000), np.repeat(ends, 100)])
    multiplier = random.integers(0, 1 << 16, len(acc))
    multiplier[-50:] = (1 << 16) - 1
    shift = random.integers(0, 47, len(acc))
    for low, high in ((-128, 127), (-32768, 32767)):
        got = numerics.requantize(acc, multiplier, shift, low, high)
        expected = [
            _clamp(_rounded(int(a) * int(m), int(s)), low, high)
            for a, m, s in zip(acc, multiplier, shift, strict=True)
        ]
        assert got.tolist() == expected


def test_dyadic_is_the_nearest_15_bit_multiplier(random: np.random.Generator) -> None:
    reals = [
        *(2.0 ** random.uniform(-31, 14.9, 3000)),
        *(2.0 ** np.arange(-31, 15)),
        1 - 1e-9,
        1 + 1e-9,
        2 - 1e-12,
    ]
    for real in map(float, reals):
        multiplier, shift = numerics.dyadic(real)
        assert 1 << 14 <= multiplier < 1 << 15
        error = abs(Fraction(multiplier, 1 << shift) - Fraction(real))
        assert error <= Fraction(1, 2) / (1 << shift)
        assert error <= Fraction(real) / (1 << 15)


def test_dyadic_reaches_every_shift_and_refuses_others() -> None:
    assert [numerics.dyadic(2.0**-k)[1] for k in range(-14, 33)] == list(range(47))
    for real in (2.0**15, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="scale ratio"):
            numerics.dyadic(real)


@pytest.mark.parametrize("real", [2.0**-32, 2.0**-33, 5e-324, 0.0])
def test_a_ratio_too_small_for_a_shift_gives_zero_for_every_accumulator(real: float) -> None:
    pair = numerics.dyadic(real)
    assert pair == (1 << 14, 46)
    ends = np.array([-(1 << 31), -1, 0, 1, (1 << 31) - 1])
    assert not numerics.requantize(ends, *pair, -128, 127).any()


def test_bit_lengths() -> None:
    x = np.concatenate([np.arange(3000), [(1 << k) + d for k in range(3, 62) for d in (-1, 0, 1)]])
    assert numerics._bit_length(x).tolist() == [int(i).bit_length() for i in x]


def _ends(bits: int, top: int) -> np.ndarray:
    """Smallest and largest integer of `top` bits for every leading mantissa of `bits` bits.

    The error is monotonic between them, so these are the worst cases of that width.
    """
    mantissas = np.arange(1 << (bits - 1), 1 << bits)
    rest = top - bits
    return np.concatenate([mantissas << rest, (mantissas << rest) + (1 << rest) - 1])


def test_reciprocal_error_over_every_mantissa() -> None:
    worst = 0.0
    for x in (np.arange(1, 1 << 16), *(_ends(16, top) for top in (17, 20, 25, 32))):
        mantissa, exponent = numerics.reciprocal(x)
        assert mantissa.min() >= 1 << 15
        assert mantissa.max() < 1 << 16
        np.testing.assert_array_equal(exponent, [int(i).bit_length() - 1 for i in x])
        worst = max(worst, float(np.abs(mantissa * 2.0 ** -(16 + exponent) * x - 1).max()))
    assert 4.2e-5 < worst < 4.3e-5


def test_rsqrt_error_over_every_mantissa() -> None:
    worst = 0.0
    for x in (
        np.arange(1, 1 << 16),
        *(_ends(15, t) for t in (17, 30, 61)),
        *(_ends(16, t) for t in (18, 44, 62)),
    ):
        mantissa, half = numerics.rsqrt(x)
        assert mantissa.min() >= 1 << 15
        assert mantissa.max() < 1 << 16
        worst = max(worst, float(np.abs(mantissa * 2.0 ** -(16 + half) * np.sqrt(x.astype(float)) - 1).max()))
    assert 4.4e-5 < worst < 4.5e-5


def test_zero_has_no_reciprocal() -> None:
    assert [int(v) for v in numerics.reciprocal(0)] == [0, 0]
    assert [int(v) for v in numerics.rsqrt(0)] == [0, 0]


def test_combine(random: np.random.Generator) -> None:
    mantissa = random.integers(1 << 15, 1 << 16, 2000)
    multiplier = random.integers(1 << 14, 1 << 15, 2000)
    expected = [_rounded(int(m) * int(k), 15) for m, k in zip(mantissa, multiplier, strict=True)]
    assert numerics.combine(mantissa, multiplier).tolist() == expected
    assert max(expected) < 1 << 16


def _rows(width: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Rows of all kinds: zero, constant, one spike, two values, tiny to huge variance, far off centre."""
    parts = [np.zeros((1, width)), np.full((1, width), -32768), np.full((1, width), 12345)]
    spikes = np.full((4, width), 7)
    spikes[np.arange(4), random.integers(0, width, 4)] = (-32768, 32767, 8, 500)
    parts.append(spikes)
    parts.append(np.where(random.random((4, width)) < 0.5, -32768, 32767))
    for spread in (0.4, 1, 2, 5, 30, 300, 3000, 20_000, 60_000):
        middle = random.normal(0, 3 * spread, (count, 1))
        parts.append(random.normal(middle, spread, (count, width)))
    return np.clip(np.concatenate(parts).round(), -32768, 32767).astype(np.int64)


def layer_norm_error(widths: tuple[int, ...], count: int) -> float:
    """Largest distance, in units of the result, from the exact layer norm of the same integers."""
    worst, random = 0.0, np.random.default_rng(0)
    for width in widths:
        rows = _rows(width, count, random)
        total = rows.sum(-1, keepdims=True)
        centred = width * rows - total
        variance = width * (rows * rows).sum(-1, keepdims=True) - total * total
        for gain, epsilon in ((2.0, 1), (20.0, 1), (31.7, 0), (31.99, 10**5), (63.0, 1000), (127.0, 1 << 47)):
            multiplier, shift = numerics.dyadic(gain)
            got = numerics.layer_norm(rows, epsilon, multiplier, shift)
            # Both are below 2**53: exact in float64, up to the last operations.
            real = centred / np.sqrt(np.maximum(variance + epsilon, 1)) * multiplier * 2.0**-shift
            worst = max(worst, float(np.abs(got - np.clip(real, -128, 127)).max()))
    return worst


@pytest.mark.parametrize(
    "widths", [(1, 2, 3, 4, 5, 7, 8), (15, 16, 31, 32, 33, 63), (64, 65, 100, 192), (384, 768), (1000, 1024)]
)
def test_layer_norm_is_within_0_51_units_of_the_exact_one(widths: tuple[int, ...]) -> None:
    assert layer_norm_error(widths, 40) <= 0.51


def layer_norm_bound() -> float:
    """An upper bound of that distance for all rows, from the error of every mantissa.

    With relative error e of the root and the row multiplier c rounded to an integer in mantissa/2..mantissa,
    a result r is off by at most |r| * ((1 + e) * (1 + 0.5 / c) - 1), by c / 2**25 from the operand's rounding
    and by 1/2 from its own. That is convex in c, so its ends are the worst.
    """
    normal = np.arange(1 << 14, 1 << 16)
    mantissa, _ = numerics.rsqrt(normal << 46)
    low, high = (np.abs(mantissa * 2.0**-16 * np.sqrt(x / 2.0**14) - 1) for x in (normal, normal + 1))
    error = np.maximum(low, high)
    ends = [128.5 * ((1 + error) * (1 + 0.5 / c) - 1) + c / 2.0**25 for c in (mantissa / 2, mantissa)]
    return 0.5 + float(np.max(ends))


def test_layer_norm_is_proved_to_stay_within_0_51_units() -> None:
    assert layer_norm_bound() < 0.5097


def test_layer_norm_of_rows_without_variance_is_zero() -> None:
    rows = np.array([[0] * 6, [-32768] * 6, [32767] * 6])
    for epsilon in (0, 1, 10**9):
        assert not numerics.layer_norm(rows, epsilon, *numerics.dyadic(31.7)).any()
    assert not numerics.layer_norm(np.array([[5], [-5]]), 0, *numerics.dyadic(31.7)).any()


def test_layer_norm_saturates() -> None:
    row = np.array([[32767] + [-32768] * 1023])
    got = numerics.layer_norm(row, 0, *numerics.dyadic(100.0))
    assert (got[0, 0], set(got[0, 1:].tolist())) == (127, {-3})
    assert numerics.layer_norm(-row - 1, 0, *numerics.dyadic(100.0))[0, 0] == -128
    assert numerics.layer_norm(row, 0, *numerics.dyadic(2.0), low=-5, high=6)[0, 0] == 6


def test_normalise_shifts_both_ways_and_clamps_to_18_bits() -> None:
    centred = np.array([0, 1, -1, 5, -(1 << 40), 1 << 40, (1 << 17) - 1, 1 << 17])
    for shift in (-6, -1, 0, 1, 3, 20):
        expected = []
        for c in map(int, centred):
            operand = c << -shift if shift < 0 else _rounded(c, shift)
            operand = _clamp(operand, -(1 << 17) + 1, (1 << 17) - 1)
            expected.append(_clamp(_rounded(operand * 50_000, 24), -128, 127))
        assert numerics.normalise(centred, 50_000, shift, -128, 127).tolist() == expected


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("scale", [0.001, 0.05, 0.4, 3.0])
def test_diffused_numerators_keep_their_sum(scale: float, bits: int) -> None:
    table = numerics.exp_table(scale, 12, bits, diffused=True)
    exact = ((1 << bits) - 1) * np.exp(-scale * np.arange(4096))
    large = exact >= 1.0
    np.testing.assert_array_equal(table[large], numerics.exp_table(scale, 12, bits)[large])
    counted = np.where(exact >= numerics.LEAST_NUMERATOR, exact, 0.0)[~large]
    assert set(table[~large]) <= {0, 1}
    assert (np.abs(table[~large].cumsum() - counted.cumsum()) <= 0.5 + 1e-9).all()
    assert not table[np.arange(4096) * scale >= numerics.exp_zero(bits, diffused=True)].any()
    zero = numerics.exp_zero(bits, diffused=False)
    assert not numerics.exp_table(scale, 12, bits)[np.arange(4096) * scale > zero].any()


@pytest.mark.parametrize("width", range(8, 13))
def test_exp_table_is_within_half_a_unit(width: int) -> None:
    for scale in (1e-9, 0.003, 0.02, 0.1, 1.0, 50.0):
        table = numerics.exp_table(scale, width)
        assert (len(table), table[0]) == (1 << width, 255)
        assert (np.diff(table) <= 0).all()
        assert np.abs(table - 255 * np.exp(-scale * np.arange(1 << width))).max() <= 0.5


def test_exp_lookup_takes_the_distance_from_the_row_maximum(random: np.random.Generator) -> None:
    table = numerics.exp_table(0.05, 8)
    logits = random.integers(-128, 128, (3, 5, 9))
    got = numerics.exp_lookup(table, logits)
    for index in np.ndindex(logits.shape):
        assert got[index] == table[max(logits[index[:-1]]) - logits[index]]
    assert numerics.exp_lookup(table, np.array([[-128, 127]])).tolist() == [[table[255], 255]]
    order = random.permutation(9)
    np.testing.assert_array_equal(numerics.exp_lookup(table, logits[..., order]), got[..., order])


def test_context_scale_is_the_output_scale_over_the_denominator(random: np.random.Generator) -> None:
    denominator = np.concatenate([np.arange(255, 30_000, 7), random.integers(255, 255 * 4096, 3000)])
    for ratio in (2.0**-20, 0.3, 1.0, 1.7, 500.0):
        multiplier, shift = numerics.dyadic(ratio)
        m, s = numerics.context_scale(denominator, multiplier, shift)
        assert m.max() < 1 << 16
        assert np.abs(m * 2.0**-s * denominator / (multiplier * 2.0**-shift) - 1).max() < 7.5e-5
    assert numerics.context_scale(0, 20_000, 10)[0] == 0


@pytest.mark.parametrize("width", [8, 12])
def test_a_steep_sigmoid_s_table_ends_at_zero_and_one(width: int) -> None:
    """Its exponentials leave float64, which is no warning."""
    table = numerics.sigmoid_table(1e4, width)
    assert table[: 1 << (width - 1)].max() == 0
    assert table[(1 << (width - 1)) + 1 :].min() == numerics.GATE_ONE
    assert table[1 << (width - 1)] == 1 << 14
