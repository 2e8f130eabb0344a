# SPDX-License-Identifier: Apache-2.0
"""The multiplier array: rows x columns cells, each a depth-long dot product and one accumulator."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters, ceil_div
from hlsgen.machine.time import latency
from hlsgen.rtl.array.dots import OPERAND_BITS, Dots, PlainDots
from hlsgen.rtl.array.dots_ecp5 import BlockDots
from hlsgen.rtl.array.packed import PackedRows
from hlsgen.rtl.array.packed_ecp5 import PackedColumns
from hlsgen.rtl.parts.pipeline import copies, delay

DOTS: dict[str, type[Dots]] = {dots.style: dots for dots in (PlainDots, BlockDots, PackedColumns, PackedRows)}
"""How cells multiply: any device, a MULT18X18D for one or two products, a DSP48E2 for two."""

DIGIT_BITS = 8
"""Bits of a digit of an exp."""

COLUMNS_TOGETHER = 4
"""Columns of a row whose cells share the registers of their controls: a net to all cells is too slow."""


def block_sums(parameters: MachineParameters, style: str) -> list[list[str]]:
    """Multiplier blocks of an `Array`, each `MODULE/CELL` in it: lists of those whose products are added."""
    return DOTS[style](parameters).blocks


# The last two steps of a block and the next block's first; L is the latency of the products:
#
#   cycle            0       1       2       L       L+1     L+2      L+3
#   valid, weights   step 0  step 1  step 2                                    operands `late` cycles later
#   products' sums                           step 0  step 1  step 2
#   accumulator                                      step 0  0 and 1  step 2
#   captured                                                 1
#   held                                                              block    until the next one
class Array(wiring.Component):
    """Output-stationary array with a second accumulator set that drains while the first one works.

    Parameters
    ----------
    parameters
        R, C, D and the accumulators' width.
    style
        How the cells multiply, a key of `DOTS`.

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
    low : In(1)
        With `valid`: the sum so far counts 256 times as much as what comes. Only in machines whose exps have
        two digits.
    captured : Out(1)
        From the next cycle on `held` shows a complete block.
    held : Out(R*C x signed accumulator)
        Row r, column c at r*C + c; stays until the next block is captured.

    Latency
    -------
    `latency` cycles from a block's last step to `captured`; operands come `late` cycles after the rest.

    Throughput
    ----------
    One step a cycle.
    """

    operands: Any
    weights: Any
    valid: Signal
    first: Signal
    last: Signal
    low: Signal
    captured: Signal
    held: Any

    def __init__(self, parameters: MachineParameters, *, style: str = "plain") -> None:
        self._parameters, self._dots = parameters, DOTS[style](parameters)
        self.latency, self.late = latency.array(parameters, style), self._dots.late
        p = parameters
        super().__init__(
            {
                "operands": In(data.ArrayLayout(signed(OPERAND_BITS), p.rows * p.depth)),
                "weights": In(data.ArrayLayout(signed(8), p.columns * p.depth)),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                **({"low": In(1)} if p.numerator_digits > 1 else {}),
                "captured": Out(1),
                "held": Out(data.ArrayLayout(signed(p.accumulator_bits), p.rows * p.columns)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p, waits = Module(), self._parameters, self.latency - 1
        step = delay(m, self.valid, waits - 1, name="valid")
        first = delay(m, self.first, waits - 1, name="first")
        last = delay(m, self.valid & self.last, waits, name="last")
        m.d.sync += self.captured.eq(last)
        groups = p.rows * ceil_div(p.columns, COLUMNS_TOGETHER)
        steps, firsts, captures = (
            copies(m, value, groups, name=name)
            for value, name in ((step, "valid_here"), (first, "first_here"), (last, "captured_here"))
        )
        lows: list[Signal] = []
        if p.numerator_digits > 1:
            lows = copies(m, delay(m, self.low, waits - 1, name="low"), groups, name="low_here")
        sums = self._dots.sums(m, self.operands, self.weights)
        for cell in range(p.rows * p.columns):
            row, column = divmod(cell, p.columns)
            group = row * (groups // p.rows) + column // COLUMNS_TOGETHER
            found = sums(row, column)
            accumulator = Signal(signed(p.accumulator_bits), name=f"accumulator_{cell}", reset_less=True)
            held = Signal(signed(p.accumulator_bits), name=f"held_{cell}", reset_less=True)
            with m.If(steps[group]):
                first, kept = firsts[group], accumulator
                if lows:
                    high = (accumulator << DIGIT_BITS)[: p.accumulator_bits].as_signed()
                    kept = Mux(lows[group], high, accumulator)
                total = self._dots.accumulate(m, kept, first, found, name=f"accumulate_{cell}")
                m.d.sync += accumulator.eq(total)
            with m.If(captures[group]):
                m.d.sync += held.eq(accumulator)
            m.d.comb += self.held[cell].eq(held)
        return m
