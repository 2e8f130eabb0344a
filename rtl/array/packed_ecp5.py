# SPDX-License-Identifier: Apache-2.0
"""Two products an ECP5 multiplier: two weights that share their operand, packed into one port.

A MULT18X18D multiplies 18 x 18 bits. With w and v the weights of two neighbouring columns and one operand x,

    P = (w * 2**10 + v) * x = (w * x) * 2**10 + v * x.

Weights lie in [-127, 127], so the packed one fits 18 bits. The fields overlap: the low ten bits of P are
those of v * x, the upper ones the sum of w * x and of v * x's own upper bits, c = (v * x) >> 10. Those
are six, signed, since |v * x| <= 127 * 255 < 2**15; and c mod 64 follows from the low six bits of w * x,
which logic makes beside the block:

    c = (P[15:10] - (w * x)[5:0]) mod 64, signed,    w * x = (P >> 10) - c,    v * x = c * 2**10 + P[9:0].

Over the products of a cell the three parts are added up apart and put together once.
"""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Signal, Value

from hlsgen.machine.format.multipliers import BLOCKS, PAIRED_COLUMNS
from hlsgen.rtl.arith.carry_ecp5 import gated_sum, kept_sum
from hlsgen.rtl.arith.multiplier import PORT, Multiplier
from hlsgen.rtl.array.dots import Dots, Sums
from hlsgen.rtl.parts.pipeline import register, tree

FIELD = 10
"""Bits of the low field."""
OVERLAP = 6
"""Bits of a product of 16 bits beyond the low field."""
PRODUCT_BITS = 26
"""Bits of P: |P| <= (127 * 2**10 + 127) * 255 < 2**25."""


def pack(high: Value, low: Value) -> Value:
    """Two weights in [-127, 127] as one port value."""
    return ((high << FIELD) + low)[:PORT].as_signed()


def low_product(m: Module, weight: Value, operand: Value, *, name: str) -> Signal:
    """weight * operand mod 64, two cycles later: the sums of two bits of `operand` each, then their sum."""
    first, second = (
        gated_sum(
            m,
            weight[: OVERLAP - place],
            operand[place],
            Cat(C(0, 1), weight[: OVERLAP - place - 1]),
            operand[place + 1],
            name=f"digit_{place}_{name}",
        )
        for place in (0, 2)
    )
    # The third sum has two bits: gates behind the second one, not an adder.
    third = operand[4] & weight[0], (operand[4] & weight[1]) ^ (operand[5] & weight[0])
    upper = Cat(second[:2], second[2] ^ third[0], second[3] ^ third[1] ^ (second[2] & third[0]))
    first, upper = register(m, first, name=f"first_{name}"), register(m, upper, name=f"upper_{name}")
    return register(m, Cat(first[:2], (first[2:] + upper)[: OVERLAP - 2]), name=f"low_{name}")


# Two elements; the operands come when the weights have been packed:
#
#   cycle            0     1     2     3     4     5     6
#   weights          step
#   weight, packed         step  step
#   operands                     step
#   in the blocks                      step
#   products, low                            step               low: in logic, beside the blocks
#   sums of two                                    step         of tops, bottoms and overlaps
#   found                                                step   put together, both columns'
class PackedColumns(Dots):
    """Columns (at least 2) in pairs that share their multiplier blocks, weights in [-127, 127].

    Latency: two cycles to pack, two in the block, one for each level of the tree, one to put the parts
    together. Operands come when the weights are packed: a tile's address waits at less cost than its data
    would.
    """

    style = PAIRED_COLUMNS
    late = 2

    @property
    def blocks(self) -> list[list[str]]:
        p = self._parameters
        return [
            [f"pair_{row}_{column}_{index}/block" for index in range(p.depth)]
            for column in range(0, p.columns, 2)
            for row in range(p.rows)
        ]

    def sums(self, m: Module, operands: Any, weights: Any) -> Sums:
        p = self._parameters
        found: dict[tuple[int, int], Value] = {}
        weights = register(m, weights, name="weight")
        for column in range(0, p.columns, 2):
            highs = [weights[column * p.depth + i] for i in range(p.depth)]
            lows = [weights[(column + 1) * p.depth + i] for i in range(p.depth)]
            packed = [
                register(m, pack(high, low), name=f"packed_{column}_{i}")
                for i, (high, low) in enumerate(zip(highs, lows, strict=True))
            ]
            low_bits = [
                register(m, high[:OVERLAP], name=f"ends_{column}_{i}") for i, high in enumerate(highs)
            ]
            for row in range(p.rows):
                mine = [operands[row * p.depth + i] for i in range(p.depth)]
                both = self._pair(m, mine, packed, low_bits, f"{row}_{column}")
                found |= {(row, column): both[0], (row, column + 1): both[1]}
        return lambda row, column: found[row, column]

    def _pair(
        self, m: Module, operands: list[Value], packed: list[Signal], low_bits: list[Signal], name: str
    ) -> tuple[Signal, Signal]:
        """The sums of one row in two columns."""
        tops, bottoms, overlaps = [], [], []
        for index, (operand, factor, end) in enumerate(zip(operands, packed, low_bits, strict=True)):
            product = self._product(m, operand, factor, f"{name}_{index}")
            low = low_product(m, end, operand, name=f"{name}_{index}")
            overlaps.append((product[FIELD : FIELD + OVERLAP] - low)[:OVERLAP].as_signed())
            bottoms.append(product[:FIELD])
            tops.append(product[FIELD:PRODUCT_BITS].as_signed())
        top, bottom, overlap = (
            tree(m, parts, name=f"{side}_{name}", levels=1)[0]
            for side, parts in (("top", tops), ("bottom", bottoms), ("overlap", overlaps))
        )
        bits = FIELD + OVERLAP + self._levels
        return (
            register(m, (top - overlap)[:bits].as_signed(), name=f"sum_{name}_0"),
            register(m, ((overlap << FIELD) + bottom)[:bits].as_signed(), name=f"sum_{name}_1"),
        )

    def accumulate(self, m: Module, kept: Value, first: Value, found: Value, *, name: str) -> Value:
        bits = len(kept)
        extended = Cat(found, found[-1].replicate(max(0, bits - len(found))))[:bits]
        return kept_sum(m, kept, ~first, extended, name=name).as_signed()

    def _product(self, m: Module, operand: Value, factor: Signal, name: str) -> Value:
        m.submodules[f"pair_{name}"] = block = Multiplier(PORT, len(operand), style=BLOCKS)
        m.d.comb += [block.a.eq(factor), block.b.eq(operand)]
        return block.p
