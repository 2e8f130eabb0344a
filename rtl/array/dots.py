# SPDX-License-Identifier: Apache-2.0
"""Dot products of the array's cells: what its styles share, and plain arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from amaranth import Module, Mux, Signal, Value

from hlsgen.machine.format.multipliers import PLAIN
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time import latency
from hlsgen.rtl.parts.pipeline import delay, register, tree

OPERAND_BITS = 9
"""Operands are int8 or, as exp, uint8."""
Sums = Callable[[int, int], Value]
"""Row and column to the sum of their products, signed."""


class Dots(ABC):
    """The `depth`-long dot product of every cell, a new one each cycle.

    Parameters
    ----------
    parameters
        R, C and D.

    Attributes
    ----------
    style
        Its name in a `MultiplierPlan`.
    latency
        Cycles from the weights to the sums.
    late
        Cycles by which the operands come after the weights.
    """

    style: str
    late: int = 0

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters = parameters
        self._levels = parameters.depth.bit_length() - 1
        self.latency = latency.dots(parameters, self.style)

    @property
    def blocks(self) -> list[list[str]]:
        """Blocks that a project may place, each `MODULE/CELL`: lists of those whose products are added."""
        return []

    @abstractmethod
    def sums(self, m: Module, operands: Any, weights: Any) -> Sums:
        """Add the multipliers to `m`; operand d of row r lies at r*D + d, weight d of column c at c*D + d."""

    def accumulate(self, m: Module, kept: Value, first: Value, found: Value, *, name: str) -> Value:
        """What an accumulator becomes: `found`, added to what was `kept` except in a block's first step."""
        del m, name
        return Mux(first, 0, kept) + found


# Eight elements; with two levels of adders a register, one cycle is left over, in which operands wait:
#
#   cycle               0     1     2     3     4     5
#   operands, weights   step
#   delayed                   step  step
#   products                              step
#   sums of four                                step
#   found                                             step
class PlainDots(Dots):
    """The `*` operator: operand registers shared by a row, weight registers by a column.

    In simulation registers cost time, so there are two adders a stage and the operands come later instead.
    """

    style = PLAIN

    def sums(self, m: Module, operands: Any, weights: Any) -> Sums:
        depth, columns = self._parameters.depth, self._parameters.columns
        waits = self.latency - 1 - latency.tree(depth)
        operands = delay(m, operands, waits, name="operand")
        weights = delay(m, weights, waits, name="weight")

        def product(row: int, column: int, index: int) -> Signal:
            found = operands[row * depth + index] * weights[column * depth + index]
            return register(m, found, name=f"product_{row}_{column}_{index}")

        def found(row: int, column: int) -> Value:
            products = [product(row, column, index) for index in range(depth)]
            return tree(m, products, name=f"sum_{row * columns + column}")[0]

        return found
