# SPDX-License-Identifier: Apache-2.0
"""The integer arithmetic, as `rtl/arith/numerics.py` and `templates/hls/numerics.hpp` have it too.

Every function takes int64 arrays (or Python integers) and is exact. Rounding is half up, saturation is
explicit, nothing wraps.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Integers = NDArray[np.int64]

MULTIPLIER_BITS = 15
"""Bits of a normalised dyadic multiplier: it lies in [2**14, 2**15)."""
BIAS_BITS = 19
"""Signed bits of a layer's bias."""
SHIFT_BITS, MOST_SHIFT = 6, 46
"""Bits of a requantization's shift, and the largest one."""
MANTISSA_BITS = 16
"""Fractional bits of the reciprocal and reciprocal square root mantissas."""
ROW_SHIFT = 24
"""Fixed last shift of a layer norm lane."""
NORM_SHIFT_BITS = 3
"""Bits of the power of two that an element of a layer norm's rows may have of its own."""
CENTRED_BITS = 18
"""Signed width of a centred, normalised layer norm operand: one 18x18 multiplier."""
EXP_ONE = 255
"""Value of the exponential table at zero."""
HIDDEN = -(1 << 15)
"""The addend of a score whose key is hidden: the key's softmax numerator is exactly 0."""
GATE_ONE = (1 << 15) - 1
"""Largest gate weight, in units of 2**-15; the value of the gate table at zero."""


def round_shift(x: ArrayLike, shift: ArrayLike) -> Integers:
    """`(x + 2**(shift-1)) >> shift`, rounding half up; `shift` >= 0, 0 returns `x`."""
    x, shift = np.asarray(x, np.int64), np.asarray(shift, np.int64)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    total = np.asarray(x + half)
    return np.right_shift(total, shift, out=total if total.ndim else None)


def exact_matmul(a: ArrayLike, b: ArrayLike) -> Integers:
    """`a @ b` of integer arrays, by floating point where that is exact: all sums stay below 2**53.

    Single precision takes half the time; it is exact while no partial sum can leave 24 bits.
    """
    a, b = np.asarray(a), np.asarray(b)
    exact, most = 1 << 24, _magnitude(a)
    fits = most * _magnitude(b) * a.shape[-1] <= exact
    fits = fits or most * int(_absolute(b).sum(-2, dtype=np.int64).max(initial=0)) <= exact
    kind = np.float32 if fits else np.float64
    return (a.astype(kind) @ b.astype(kind)).astype(np.int64)


def _absolute(x: np.ndarray) -> np.ndarray:
    """Magnitudes; those of int8 in 16 bits, for -128 has none in 8."""
    return np.abs(x, dtype=np.int16) if x.dtype == np.int8 else np.abs(x)


def _magnitude(x: np.ndarray) -> int:
    return max(int(x.max(initial=0)), -int(x.min(initial=0)))


def saturate(x: ArrayLike, low: int, high: int) -> Integers:
    """Clamp to [low, high]."""
    return np.clip(np.asarray(x, np.int64), low, high)


def requantize(acc: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, low: int, high: int) -> Integers:
    """Saturated `round_shift(acc * multiplier, shift)`: acc signed 32 bits, multiplier unsigned 16 bits."""
    product = np.asarray(acc, np.int64) * np.asarray(multiplier, np.int64)
    shifted = round_shift(product, shift)
    return np.clip(shifted, low, high, out=shifted if shifted.ndim else None)


def dyadic(real: float) -> tuple[int, int]:
    """`(multiplier, shift)` with multiplier in [2**14, 2**15), nearest to `real` = multiplier * 2**-shift.

    A ratio below 2**-32, even zero, gives 2**-32: what 31 bits and a sign give of either rounds to zero.
    Raises `ValueError` from 2**15 on, where the shift would be negative.
    """
    if not (real >= 0 and math.isfinite(real)):
        raise ValueError(f"scale ratio must be positive and finite, not {real!r}")
    real = max(real, 2.0 ** (MULTIPLIER_BITS - 1 - MOST_SHIFT))
    mantissa, exponent = math.frexp(real)  # mantissa in [0.5, 1)
    multiplier, shift = round(mantissa * (1 << MULTIPLIER_BITS)), MULTIPLIER_BITS - exponent
    if multiplier == 1 << MULTIPLIER_BITS:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        raise ValueError(f"scale ratio must be below 2**{MULTIPLIER_BITS}, not {real!r}")
    return multiplier, shift


def _table(first: int, last: int, value) -> tuple[Integers, Integers]:
    """Values at first..last-1 and the drop to the next entry."""
    entries = np.array([value(i) for i in range(first, last + 1)], np.int64)
    return entries[:-1], entries[:-1] - entries[1:]


RECIPROCAL_BASE, RECIPROCAL_DROP = _table(128, 256, lambda i: round(65535 * 128 / i))
RSQRT_BASE, RSQRT_DROP = _table(64, 256, lambda i: round(65535 * math.sqrt(64 / i)))


def _bit_length(x: Integers) -> Integers:
    """Bit length of non-negative integers below 2**62, exactly."""
    length = np.zeros_like(x)
    for step in (32, 16, 8, 4, 2, 1):
        above = (x >> step) > 0
        length += np.where(above, step, 0)
        x = np.where(above, x >> step, x)
    return length + (x > 0)


def _interpolate(base: Integers, drop: Integers, first: int, mantissa: Integers) -> Integers:
    """Linear interpolation between table entries: index in bits 15..8, fraction in bits 7..0."""
    index = np.clip((mantissa >> 8) - first, 0, len(base) - 1)
    return base[index] - round_shift(drop[index] * (mantissa & 255), 8)


def reciprocal(x: ArrayLike) -> tuple[Integers, Integers]:
    """`(mantissa, exponent)` with 1/x ~ mantissa * 2**-(16 + exponent); x >= 0 below 2**32; (0, 0) for 0.

    The mantissa comes from a 128-entry table with linear interpolation; relative error below 5e-5.
    """
    x = np.asarray(x, np.int64)
    exponent = np.maximum(_bit_length(x) - 1, 0)
    normal = np.where(exponent >= 15, x >> np.maximum(exponent - 15, 0), x << np.maximum(15 - exponent, 0))
    mantissa = _interpolate(RECIPROCAL_BASE, RECIPROCAL_DROP, 128, normal)
    return np.where(x > 0, mantissa, 0), exponent


def rsqrt(x: ArrayLike) -> tuple[Integers, Integers]:
    """`(mantissa, half)` with 1/sqrt(x) ~ mantissa * 2**-(16 + half); x >= 0 below 2**62; (0, 0) for 0.

    `half` is half the even exponent of x; 192-entry table with linear interpolation; relative error
    below 4.5e-5.
    """
    x = np.asarray(x, np.int64)
    exponent = np.maximum(_bit_length(x) - 1, 0) & ~np.int64(1)
    normal = np.where(exponent >= 14, x >> np.maximum(exponent - 14, 0), x << np.maximum(14 - exponent, 0))
    mantissa = _interpolate(RSQRT_BASE, RSQRT_DROP, 64, normal)
    return np.where(x > 0, mantissa, 0), exponent >> 1


def combine(mantissa: ArrayLike, multiplier: ArrayLike) -> Integers:
    """A row's mantissa times a 15-bit multiplier, back to 16 bits: `round_shift(m * multiplier, 15)`."""
    return round_shift(np.asarray(mantissa, np.int64) * np.asarray(multiplier, np.int64), MULTIPLIER_BITS)


def layer_norm(
    rows: ArrayLike,
    epsilon: int,
    gain: int,
    gain_shift: int,
    low: int = -128,
    high: int = 127,
    *,
    centred: bool = True,
    shifts: ArrayLike = 0,
) -> Integers:
    """Normalised rows times `gain * 2**-gain_shift`, saturated to [low, high].

    rows is [..., N], signed 16 bits. With S1 and S2 the row's sum and sum of squares, the centred value
    N*r - S1 and N*S2 - S1**2 + epsilon are exact integers (epsilon in units of scale**2 / N**2).
    Not `centred`, S1 is 0 instead: the root mean square takes the standard deviation's place.
    shifts, 0..gain_shift, one for all or [N]: an element's gain shift is so much less. So its result is that
    of a norm with a gain 2**shift times as large, with the same one rounding.
    """
    rows = np.asarray(rows, np.int64)
    width = rows.shape[-1]
    total = rows.sum(-1, keepdims=True) * centred
    squares = (rows * rows).sum(-1, keepdims=True)
    mantissa, half = rsqrt(width * squares - total * total + epsilon)
    row_multiplier = combine(mantissa, gain)
    shift = half + gain_shift + 1 - ROW_SHIFT - np.asarray(shifts, np.int64)
    return normalise(width * rows - total, row_multiplier, shift, low, high)


def normalise(centred: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, low: int, high: int) -> Integers:
    """One layer norm lane: shift (left when negative), clamp to 18 bits, multiply, shift by 24, saturate."""
    centred, shift = np.asarray(centred, np.int64), np.asarray(shift, np.int64)
    operand = round_shift(centred << np.maximum(-shift, 0), np.maximum(shift, 0))
    limit = (1 << (CENTRED_BITS - 1)) - 1
    operand = saturate(operand, -limit, limit)
    return saturate(round_shift(operand * np.asarray(multiplier, np.int64), ROW_SHIFT), low, high)


LEAST_NUMERATOR = 1 / 16
"""Of a unit: a smaller numerator is 0, so that logits need no representation far below a row's maximum."""


def exp_table(scale: float, width: int, bits: int = 8, *, diffused: bool = False) -> Integers:
    """EXP[i] = round(one * exp(-i * scale)) for logits of `width` bits and real scale `scale`; [2**width].

    bits: of a numerator, whose largest value is one = 2**bits - 1. diffused: numerators below one unit are
    ones and zeros, such that the entries up to each i add up to what the exact ones do, to nearest. Many keys
    that are rounded to nearest would all become 0; their logits differ, and so the sum of theirs stays.
    """
    exact = ((1 << bits) - 1) * np.exp(-scale * np.arange(1 << width))
    table = np.floor(exact + 0.5)
    if diffused:
        small = np.where(exact >= LEAST_NUMERATOR, exact, 0.0)[exact < 1.0]
        table[exact < 1.0] = np.diff(np.floor(small.cumsum() + 0.5), prepend=0.0)
    return table.astype(np.int64)


def exp_zero(bits: int, *, diffused: bool) -> float:
    """Every entry of `exp_table` that lies this far below the first one, or farther, is 0."""
    return math.log(((1 << bits) - 1) / (LEAST_NUMERATOR if diffused else 0.5))


def add_scores(x: ArrayLike, addends: ArrayLike, width: int) -> Integers:
    """Logits of `width` bits: x + addends saturated to -(2**(width-1) - 1)..2**(width-1) - 1, both int16.

    The code below is that of a hidden key, whose addend is `HIDDEN`.
    """
    addends = np.asarray(addends, np.int64)
    low, high = logit_range(width, adds=True)
    logits = saturate(np.asarray(x, np.int64) + addends, low, high)
    return np.where(addends == HIDDEN, low - 1, logits)


def logit_range(width: int, *, adds: bool) -> tuple[int, int]:
    """The least and the largest logit of a key that is seen; with addends the code below is the hidden."""
    half = 1 << (width - 1)
    return int(adds) - half, half - 1


def logits(
    acc: ArrayLike, multiplier: int, shift: int, width: int, addends: ArrayLike | None = None
) -> Integers:
    """Sums of products to logits of `width` bits: requantized and saturated; with addends, `add_scores`."""
    if addends is None:
        return requantize(acc, multiplier, shift, *logit_range(width, adds=False))
    return add_scores(requantize(acc, multiplier, shift, HIDDEN, -HIDDEN - 1), addends, width)


def exp_lookup(table: Integers, logits: ArrayLike, hidden: int | None = None) -> Integers:
    """EXP[row maximum - logit] over the last axis; 0 for the logit `hidden`."""
    logits = np.asarray(logits, np.int64)
    result = table.take(logits.max(-1, keepdims=True) - logits)
    return result if hidden is None else np.where(logits == hidden, 0, result)


def context_scale(denominator: ArrayLike, multiplier: int, shift: int) -> tuple[Integers, Integers]:
    """`(multiplier, shift)` of a context row: the reciprocal of its denominator times the output scale."""
    mantissa, exponent = reciprocal(denominator)
    return combine(mantissa, multiplier), exponent + shift + 1


def gate_table(scale: float, width: int) -> Integers:
    """round(32767 * exp(-i * scale)) for logits of `width` bits and real scale `scale`; [2**width]."""
    return np.floor(GATE_ONE * np.exp(-scale * np.arange(1 << width)) + 0.5).astype(np.int64)


def sigmoid_table(scale: float, width: int) -> Integers:
    """round(2**15 * sigmoid((i - 2**(width-1)) * scale)), at most 32767; [2**width]."""
    logits = (np.arange(1 << width) - (1 << (width - 1))) * scale
    values = np.floor((1 << 15) / (1 + np.exp(np.minimum(-logits, 700.0))) + 0.5)  # beyond, exp overflows
    return np.minimum(values, GATE_ONE).astype(np.int64)


class GateMode(IntEnum):
    """How gate weights are made of router logits."""

    ALL = 0  # exp over the sum of all experts' exps
    CHOSEN = 1  # exp over the sum of the chosen ones'
    SIGMOID = 2  # the table's value


def top_k(logits: ArrayLike, k: int) -> Integers:
    """Indices [..., k] of the k largest, largest first; of equals the lower index first."""
    return np.argsort(-np.asarray(logits), axis=-1, kind="stable")[..., :k]


def route(logits: Integers, k: int, mode: int, table: Integers) -> tuple[Integers, Integers]:
    """Expert indices and gate weights [..., k] of logits [..., E].

    `table` is what `gate_table` makes, for `GateMode.SIGMOID` what `sigmoid_table` does.
    """
    chosen = top_k(logits, k)
    picked = np.take_along_axis(logits, chosen, -1)
    if mode == GateMode.SIGMOID:
        return chosen, table[picked + len(table) // 2]
    top = picked[..., :1]
    over = logits if mode == GateMode.ALL else picked
    return chosen, gates(table[top - picked], table[top - over].sum(-1, keepdims=True))


def gates(numerator: ArrayLike, denominator: ArrayLike) -> Integers:
    """numerator / denominator in units of 2**-15, at most 32767; both of one scale, 0 for denominator 0."""
    mantissa, exponent = reciprocal(denominator)
    product = np.asarray(numerator, np.int64) * mantissa
    return saturate(round_shift(product, exponent + 1), 0, GATE_ONE)


def gated_add(total: ArrayLike, value: ArrayLike, gate: ArrayLike, shift: int) -> Integers:
    """`total + round_shift(value * gate, shift)`, saturated to 16 bits."""
    product = np.asarray(value, np.int64) * np.asarray(gate, np.int64)
    return saturate(np.asarray(total, np.int64) + round_shift(product, shift), -(1 << 15), (1 << 15) - 1)
