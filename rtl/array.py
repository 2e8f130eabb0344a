"""The multiplier array: rows x columns cells, each a depth-long dot product and one accumulator."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.parameters import MachineParameters, ceil_div
from hlsgen.rtl.multiplier import Multiplier
from hlsgen.rtl.pipeline import delay, register, tree

OPERAND_BITS = 9
"""Operands are int8 or, as exp, uint8."""


class Array(wiring.Component):
    """Output-stationary array with a second accumulator set that drains while the first one works.

    Parameters
    ----------
    parameters
        R, C, D and the accumulators' width.
    style
        `Multiplier` style of the cells; "soft" is not offered.

    Members
    -------
    operands : In(R*D x signed 9)
        Row r, element d at r*D + d.
    weights : In(C*D x signed 8)
        Column c, element d at c*D + d.
    valid : In(1)
        A step.
    first, last : In(1)
        With `valid`: the first, the last step of a block.
    captured : Out(1)
        From the next cycle on `held` shows a complete block.
    held : Out(R*C x signed accumulator)
        Row r, column c at r*C + c; stays until the next block is captured.

    Latency
    -------
    `latency` cycles from a block's last step to `captured`.

    Throughput
    ----------
    One step a cycle.
    """

    operands: Any
    weights: Any
    valid: Signal
    first: Signal
    last: Signal
    captured: Signal
    held: Any

    def __init__(self, parameters: MachineParameters, *, style: str = "plain") -> None:
        self._parameters, self._style = parameters, style
        p = parameters
        # On a device an adder a stage, in simulation fewer registers and later operands instead.
        levels = p.depth.bit_length() - 1
        self._levels = 1 if style == "ecp5" else 2
        self._spare = levels - ceil_div(levels, self._levels)
        self._sum_latency = 2 + levels
        self.latency = self._sum_latency + 1
        super().__init__(
            {
                "operands": In(data.ArrayLayout(signed(OPERAND_BITS), p.rows * p.depth)),
                "weights": In(data.ArrayLayout(signed(8), p.columns * p.depth)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "captured": Out(1),
                "held": Out(data.ArrayLayout(signed(p.accumulator_bits), p.rows * p.columns)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        step = delay(m, self.valid, self._sum_latency, name="valid")
        first = delay(m, self.first, self._sum_latency, name="first")
        last = delay(m, self.valid & self.last, self._sum_latency, name="last")
        m.d.sync += self.captured.eq(last)
        products = self._blocks(m) if self._style == "ecp5" else self._plain(m)
        for cell in range(p.rows * p.columns):
            row, column = divmod(cell, p.columns)
            found, _ = tree(m, products(row, column), name=f"sum_{cell}", levels=self._levels)
            accumulator = Signal(signed(p.accumulator_bits), name=f"accumulator_{cell}", reset_less=True)
            held = Signal(signed(p.accumulator_bits), name=f"held_{cell}", reset_less=True)
            with m.If(step):
                m.d.sync += accumulator.eq(Mux(first, 0, accumulator) + found)
            with m.If(self.captured):
                m.d.sync += held.eq(accumulator)
            m.d.comb += self.held[cell].eq(held)
        return m

    def _plain(self, m: Module) -> Any:
        """Operand registers shared by a row, weight registers shared by a column."""
        depth = self._parameters.depth
        operands = delay(m, self.operands, 1 + self._spare, name="operand")
        weights = delay(m, self.weights, 1 + self._spare, name="weight")

        def products(row: int, column: int) -> list[Signal]:
            return [
                register(
                    m,
                    operands[row * depth + i] * weights[column * depth + i],
                    name=f"product_{row}_{column}_{i}",
                )
                for i in range(depth)
            ]

        return products

    def _blocks(self, m: Module) -> Any:
        """Multiplier blocks with their own registers."""
        depth = self._parameters.depth

        def products(row: int, column: int) -> list[Signal]:
            result = []
            for i in range(depth):
                block = Multiplier(OPERAND_BITS, 8, style="ecp5")
                m.submodules[f"cell_{row}_{column}_{i}"] = block
                m.d.comb += [
                    block.a.eq(self.operands[row * depth + i]),
                    block.b.eq(self.weights[column * depth + i]),
                ]
                result.append(block.p)
            return result

        return products
