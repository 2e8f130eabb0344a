"""Two products a multiplier: two operands that share their weight, packed into one wide operand.

A DSP48E2 multiplies 27 x 18 bits. With x and y of one weight w,

    (x * 2**18 + y) * w = (x * w) * 2**18 + y * w,

and sums of such products are packed sums: the low field, 18 bits, holds the sum of y * w as a signed number
as long as it lies in [-2**17, 2**17), and what it borrows from the upper field is its sign, so that

    low = signed(P[17:0]),    high = (P >> 18) + P[17].

Operands lie in [-128, 255] (int8, or uint8 exponentials) and weights in [-128, 127]: a product's magnitude is
at most 255 * 128, and four of them stay below 2**17 = 131,072. So up to `SUMMED` products are added before
they are taken apart, exactly, whatever the operands are. Plain arithmetic with a hint, not an instance: it
simulates as it is, and Vivado and Yosys infer the block.
"""

from __future__ import annotations

from amaranth import Module, Signal, Value, signed

from hlsgen.rtl.pipeline import register

FIELD = 18
"""Bits of the low field."""
SUMMED = 4
"""Products that may be added before they are taken apart: 4 * 255 * 128 < 2**17."""
OPERAND_BITS = 27
PRODUCT_BITS = OPERAND_BITS + 8
SUM_BITS = FIELD
"""Bits of a sum taken apart; the high one is as large as the low one."""


def pack(high: Value, low: Value) -> Value:
    """Two signed 9-bit operands as one of 27 bits."""
    return ((high << FIELD) + low)[:OPERAND_BITS].as_signed()


def multiply(m: Module, packed: Value, weight: Value, *, name: str) -> Signal:
    """The packed product one cycle later; synthesis is told to use a multiplier block for it."""
    product = Signal(signed(PRODUCT_BITS), name=name, reset_less=True, attrs={"use_dsp": "yes"})
    m.d.sync += product.eq(packed * weight)
    return product


def unpack(m: Module, total: Value, *, name: str) -> tuple[Signal, Signal]:
    """High and low sum of up to `SUMMED` packed products, one cycle later."""
    high = (total >> FIELD) + total[FIELD - 1]
    return (
        register(m, high[:SUM_BITS].as_signed(), name=f"{name}_high"),
        register(m, total[:FIELD].as_signed(), name=f"{name}_low"),
    )
