# SPDX-License-Identifier: Apache-2.0
"""The integer arithmetic of `hlsgen/numerics.py`, as Amaranth expressions.

These are the pieces between two registers; the pipelines made from them (`drain_requantize.py`,
`load_normalise.py`, `load_row_unit.py`) are proved equal to the Python functions by tests.
"""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Cat, Mux, Value, signed
from amaranth.lib import data

from hlsgen.numerics import RECIPROCAL_BASE, RECIPROCAL_DROP, RSQRT_BASE, RSQRT_DROP

FINE_BITS = 3
"""A shift is done in two stages: multiples of 8 first, then 0..7."""
DROP_BITS = 9
"""Width of the table entries' drop to the next entry."""


def doubled(value: Value) -> Value:
    """`value` * 2: a shifter's operand, with one bit kept behind the point for rounding."""
    return Cat(C(0, 1), value).as_signed()


def shift_coarse(value: Value, amount: Value, bits: int) -> Any:
    """First stage of an arithmetic right shift to `bits` signed bits: by the multiple of 8 in `amount`.

    What is kept is narrow; of the bits above it there is a flag for each eight: whether one of them differs
    from the sign. `shift_fine` asks those flags, so no choice here waits for a look at all bits.
    """
    kept, coarse = bits + (1 << FINE_BITS), amount[FINE_BITS:]
    places = [index << FINE_BITS for index in range(1 << len(coarse))]
    sign = value[-1]
    # Not slices of an extended value: Amaranth emits an operand anew for each of its users.
    windows = Array(
        [(value[place : place + kept] if place < len(value) else sign).as_signed() for place in places]
    )
    window = Value.cast(windows[coarse])
    window = Cat(window, window[-1].replicate(kept - len(window)))
    above = [
        value[first : first + (1 << FINE_BITS)] for first in range(kept - 1, len(value) - 1, 1 << FINE_BITS)
    ]
    flags = Cat(Mux(sign, ~part.all(), part.any()) for part in above)
    layout = data.StructLayout({"value": signed(kept), "sign": 1, "above": len(flags)})
    return data.View(layout, Cat(window, sign, flags))


def shift_fine(coarse: Any, amount: Value) -> Any:
    """Second stage of an arithmetic right shift: by the low three bits of `amount`; whether bits are lost."""
    value, above = coarse.value, coarse.above
    over = Cat(above[index] & (amount[FINE_BITS:] <= index) for index in range(len(above))).any()
    layout = data.StructLayout({"value": value.shape(), "sign": 1, "over": 1})
    return data.View(layout, Cat((value >> amount[:FINE_BITS])[: len(value)], coarse.sign, over))


def shift_round(fine: Any, bits: int) -> Value:
    """Third stage: drop the bit behind the point, rounded half up, and clamp to `bits` signed bits."""
    return saturate_bits(round_half_up(fine.value), bits, fine.sign, fine.over)


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


def saturate_bits(value: Value, bits: int, sign: Value | None = None, over: Value | int = 0) -> Value:
    """Clamp to the range of `bits` signed bits; where `over`, to the limit on the side of `sign`."""
    if len(value) <= bits:
        return value
    mine, upper = value[-1], value[bits - 1 : -1]
    sign = mine if sign is None else sign
    fits = Mux(mine, upper.all(), ~upper.any()) & ~Value.cast(over)
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
