# SPDX-License-Identifier: Apache-2.0
"""Dot products with an ECP5 multiplier block for every product."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Value

from hlsgen.machine.format.multipliers import BLOCKS
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.array.dots import OPERAND_BITS, Dots, Sums
from hlsgen.rtl.parts.pipeline import tree


# Four elements:
#
#   cycle               0     1     2     3     4
#   operands, weights   step
#   in the blocks             step
#   products                        step
#   sums of two                           step
#   found                                       step
class BlockDots(Dots):
    """Blocks with their own registers at operands and result, an adder a stage behind them."""

    style = BLOCKS

    @property
    def blocks(self) -> list[list[str]]:
        p = self._parameters
        return [
            [f"cell_{row}_{column}_{index}/block" for index in range(p.depth)]
            for column in range(p.columns)
            for row in range(p.rows)
        ]

    def sums(self, m: Module, operands: Any, weights: Any) -> Sums:
        depth, columns = self._parameters.depth, self._parameters.columns

        def product(row: int, column: int, index: int) -> Value:
            block = Multiplier(OPERAND_BITS, 8, style=BLOCKS)
            m.submodules[f"cell_{row}_{column}_{index}"] = block
            m.d.comb += [
                block.a.eq(operands[row * depth + index]),
                block.b.eq(weights[column * depth + index]),
            ]
            return block.p

        def found(row: int, column: int) -> Value:
            products = [product(row, column, index) for index in range(depth)]
            return tree(m, products, name=f"sum_{row * columns + column}", levels=1)[0]

        return found
