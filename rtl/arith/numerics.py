# SPDX-License-Identifier: Apache-2.0
"""The integer arithmetic of `hlsgen/numerics.py`, as Amaranth expressions.

These are the pieces between two registers; the pipelines made from them (`drain_requantize.py`,
`load_normalise.py`, `load_row_unit.py`) are proved equal to the Python functions by tests.
"""

from __future__ import annotations

from amaranth import Array, C, Cat, Mux, Value

from hlsgen.numerics import RECIPROCAL_BASE, RECIPROCAL_DROP, RSQRT_BASE, RSQRT_DROP

FINE_BITS = 3
"""A shift is done in two stages: multiples of 8 first, then 0..7."""
DROP_BITS = 9
"""Width of the table entries' drop to the next entry."""


def doubled(value: Value) -> Value:
    """`value` * 2: a shifter's operand, with one bit kept behind the point for rounding."""
    return Cat(C(0, 1), value).as_signed()


def shift_coarse(value: Value, amount: Value, bits: int) -> Value:
    """First stage of an arithmetic right shift: by the multiple of 8 in `amount`.

    The result is clamped, so far that rounding after the second stage, then clamping to `bits` signed bits,
    gives what it would have given.
    """
    kept, coarse = bits + (1 << FINE_BITS), amount[FINE_BITS:]
    places = [index << FINE_BITS for index in range(1 << len(coarse))]
    sign = value[-1]
    # Not slices of an extended value: Amaranth emits an operand anew for each of its users.
    windows = Array(
        [(value[place : place + kept] if place < len(value) else sign).as_signed() for place in places]
    )
    beyond = [value[place + kept - 1 :] for place in places]
    fits = Array([Mux(sign, upper.all(), ~upper.any()) if len(upper) > 1 else C(1) for upper in beyond])
    limit = Cat((~sign).replicate(kept - 1), sign).as_signed()
    return Mux(fits[coarse], windows[coarse], limit)


def shift_fine(value: Value, amount: Value) -> Value:
    """Second stage of an arithmetic right shift: by the low three bits of `amount`."""
    return value >> amount[:FINE_BITS]


def round_half_up(value: Value) -> Value:
    """Round a value with one bit behind the point: `(value + 1) >> 1`."""
    return (value + 1)[1:].as_signed()


def round_shift_constant(value: Value, shift: int) -> Value:
    """`numerics.round_shift` by a constant."""
    if shift == 0:
        return value
    result = (value + (1 << (shift - 1)))[shift:]
    return result.as_signed() if value.shape().signed else result


def saturate(value: Value, low: Value | int, high: Value | int, bits: int) -> Value:
    """Clamp to [low, high], as `bits` signed bits."""
    low, high = Value.cast(low), Value.cast(high)
    return Mux(value > high, high, Mux(value < low, low, value))[:bits].as_signed()


def saturate_bits(value: Value, bits: int) -> Value:
    """Clamp to the range of `bits` signed bits."""
    if len(value) <= bits:
        return value
    sign, upper = value[-1], value[bits - 1 : -1]
    fits = Mux(sign, upper.all(), ~upper.any())
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(fits, value[:bits], limit).as_signed()


def mantissa_table() -> list[int]:
    """512 words of base (16 bits) and drop: rsqrt at its index 64..255, reciprocal at 256 + index."""
    words = [0] * 512
    for first, offset, base, drop in (
        (64, 0, RSQRT_BASE, RSQRT_DROP),
        (128, 256, RECIPROCAL_BASE, RECIPROCAL_DROP),
    ):
        for index in range(len(base)):
            words[offset + first + index] = int(base[index]) | int(drop[index]) << 16
    return words
