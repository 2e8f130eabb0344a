# SPDX-License-Identifier: Apache-2.0
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

from typing import Any

from amaranth import C, Module, Signal, Value, signed

from hlsgen.machine.format.multipliers import PAIRED_ROWS
from hlsgen.rtl.array import dots
from hlsgen.rtl.array.dots import Dots, Sums
from hlsgen.rtl.parts.pipeline import register, tree

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


# Eight elements:
#
#   cycle               0     1     2     3     4     5     6
#   operands, weights   step
#   packed, weight            step
#   packed products                 step
#   sums of two, four                     step  step
#   taken apart                                       step         both rows'
#   found                                                   step
class PackedRows(Dots):
    """Rows in pairs that share their multipliers; the last row of an odd number has a zero beside it."""

    style = PAIRED_ROWS

    def sums(self, m: Module, operands: Any, weights: Any) -> Sums:
        p = self._parameters
        weights = register(m, weights, name="weight")
        found: dict[tuple[int, int], Value] = {}
        for row in range(0, p.rows, 2):
            mine = [self._operand(m, operands, row, index) for index in range(p.depth)]
            for column in range(p.columns):
                factors = [weights[column * p.depth + index] for index in range(p.depth)]
                both = self._pair(m, mine, factors, f"{row}_{column}")
                found |= {(row, column): both[0], (row + 1, column): both[1]}
        return lambda row, column: found[row, column]

    def _operand(self, m: Module, operands: Any, row: int, index: int) -> Signal:
        p = self._parameters
        high = operands[row * p.depth + index]
        zero = C(0, signed(dots.OPERAND_BITS))
        low = operands[(row + 1) * p.depth + index] if row + 1 < p.rows else zero
        return register(m, pack(high, low), name=f"packed_{row}_{index}")

    def _pair(self, m: Module, operands: list[Signal], factors: list[Value], name: str) -> list[Value]:
        """Both rows' sums in one column: packed, taken apart, then apart."""
        products = [
            multiply(m, operand, factor, name=f"product_{name}_{i}")
            for i, (operand, factor) in enumerate(zip(operands, factors, strict=True))
        ]
        groups = [
            tree(m, products[i : i + SUMMED], name=f"packed_{name}_{i}", levels=1)[0]
            for i in range(0, len(products), SUMMED)
        ]
        parts = [unpack(m, group, name=f"part_{name}_{i}") for i, group in enumerate(groups)]
        return [
            tree(m, [part[side] for part in parts], name=f"sum_{name}_{side}", levels=1)[0] for side in (0, 1)
        ]
