"""The multiplier array: rows x columns cells, each a depth-long dot product and one accumulator."""

from __future__ import annotations

from typing import Any

from amaranth import C, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.parameters import MachineParameters, ceil_div
from hlsgen.rtl import packed
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
        `Multiplier` style of the cells, "soft" not offered; or "packed": a multiplier serves two rows.

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
        self._packed = style == "packed"
        self._levels = 1 if self._packed else self._levels
        self._spare = 0 if self._packed else self._spare
        self._sum_latency = 2 + levels + self._packed
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
        sums = self._pairs(m) if self._packed else self._cells(m)
        for cell in range(p.rows * p.columns):
            found = sums(*divmod(cell, p.columns))
            accumulator = Signal(signed(p.accumulator_bits), name=f"accumulator_{cell}", reset_less=True)
            held = Signal(signed(p.accumulator_bits), name=f"held_{cell}", reset_less=True)
            with m.If(step):
                m.d.sync += accumulator.eq(Mux(first, 0, accumulator) + found)
            with m.If(self.captured):
                m.d.sync += held.eq(accumulator)
            m.d.comb += self.held[cell].eq(held)
        return m

    def _cells(self, m: Module) -> Any:
        """Sums of products, each with a multiplier of its own."""
        products = self._blocks(m) if self._style == "ecp5" else self._plain(m)

        def sums(row: int, column: int) -> Signal:
            name = f"sum_{row * self._parameters.columns + column}"
            return tree(m, products(row, column), name=name, levels=self._levels)[0]

        return sums

    def _pairs(self, m: Module) -> Any:
        """Rows in pairs that share their multipliers; the last row of an odd number has a zero beside it."""
        p = self._parameters
        weights = register(m, self.weights, name="weight")
        found: dict[tuple[int, int], Signal] = {}
        for row in range(0, p.rows, 2):
            operands = [self._packed_operand(m, row, i) for i in range(p.depth)]
            for column in range(p.columns):
                factors = [weights[column * p.depth + i] for i in range(p.depth)]
                both = self._pair(m, operands, factors, f"{row}_{column}")
                found |= {(row, column): both[0], (row + 1, column): both[1]}
        return lambda row, column: found[row, column]

    def _packed_operand(self, m: Module, row: int, index: int) -> Signal:
        p = self._parameters
        high = self.operands[row * p.depth + index]
        low = self.operands[(row + 1) * p.depth + index] if row + 1 < p.rows else C(0, signed(OPERAND_BITS))
        return register(m, packed.pack(high, low), name=f"packed_{row}_{index}")

    def _pair(self, m: Module, operands: list[Signal], factors: list[Value], name: str) -> list[Signal]:
        """Both rows' sums in one column: packed, taken apart, then apart."""
        products = [
            packed.multiply(m, operand, factor, name=f"product_{name}_{i}")
            for i, (operand, factor) in enumerate(zip(operands, factors, strict=True))
        ]
        groups = [
            tree(m, products[i : i + packed.SUMMED], name=f"packed_{name}_{i}", levels=1)[0]
            for i in range(0, len(products), packed.SUMMED)
        ]
        parts = [packed.unpack(m, group, name=f"part_{name}_{i}") for i, group in enumerate(groups)]
        return [
            tree(m, [part[side] for part in parts], name=f"sum_{name}_{side}", levels=1)[0] for side in (0, 1)
        ]

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
