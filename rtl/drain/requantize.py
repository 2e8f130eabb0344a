# SPDX-License-Identifier: Apache-2.0
"""DRAIN's arithmetic: bias, multiplier, rounded shift, saturation; one row of C results a cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import REQUANTIZE
from hlsgen.numerics import BIAS_BITS, SHIFT_BITS
from hlsgen.rtl.arith.multiplier import WideMultiplier
from hlsgen.rtl.arith.numerics import (
    doubled,
    saturate,
    shift_coarse,
    shift_fine,
    shift_round,
)
from hlsgen.rtl.parts.memories import delay_in_memory, words_of
from hlsgen.rtl.parts.pipeline import delay, register, without_reset

RESULT_BITS = 16


#   cycle               0    3    4    5    6    7
#   accumulator, bias   row                            with multiplier, shift, low and high
#   product.p                row
#   coarse, fine                  row  row             the shift, in two stages
#   rounded                                 row        and saturated to 16 bits
#   result                                       row   between low and high
class Requantize(wiring.Component):
    """`numerics.requantize(accumulator + bias, multiplier, shift, low, high)` for C lanes.

    Parameters
    ----------
    columns
        Lanes.
    accumulator_bits
        Width of the accumulators, with the bias too.
    style
        `Multiplier` style.
    memory
        Limits wait in LUT memory.

    Members
    -------
    accumulator : In(C x signed)
    bias : In(C x signed 19)
    multiplier : In(C x 16)
    shift : In(C x 6)
    low, high : In(signed 16)
    result : Out(C x signed 16)

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One row a cycle.
    """

    latency = REQUANTIZE
    accumulator: Any
    bias: Any
    multiplier: Any
    shift: Any
    low: Signal
    high: Signal
    result: Any

    def __init__(
        self, columns: int, accumulator_bits: int, *, style: str = "plain", memory: bool = False
    ) -> None:
        self._columns, self._bits = columns, accumulator_bits
        self._style, self._delay = style, delay_in_memory if memory else delay
        super().__init__(
            {
                "accumulator": In(words_of(accumulator_bits, columns)),
                "bias": In(words_of(BIAS_BITS, columns)),
                "multiplier": In(data.ArrayLayout(16, columns)),
                "shift": In(data.ArrayLayout(SHIFT_BITS, columns)),
                "low": In(signed(16)),
                "high": In(signed(16)),
                "result": Out(words_of(16, columns)),
            }
        )
        without_reset(self, "result")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        coarse_shift = delay(m, self.shift, WideMultiplier.latency, name="coarse_shift")
        fine_shift = register(m, coarse_shift, name="fine_shift")
        limits = self._delay(m, Cat(self.low, self.high), self.latency - 2, name="waiting")
        limits = register(m, limits, name="limits")
        low, high = (limits.word_select(index, 16).as_signed() for index in range(2))
        for lane in range(self._columns):
            product = WideMultiplier(self._bits, style=self._style)
            m.submodules[f"product_{lane}"] = product
            m.d.comb += [
                product.a.eq((self.accumulator[lane] + self.bias[lane])[: self._bits].as_signed()),
                product.b.eq(self.multiplier[lane]),
            ]
            doubled_product, amount = doubled(product.p), coarse_shift[lane]
            coarse = register(m, shift_coarse(doubled_product, amount, RESULT_BITS), name=f"coarse_{lane}")
            fine = register(m, shift_fine(coarse, fine_shift[lane]), name=f"fine_{lane}")
            rounded = register(m, shift_round(fine, RESULT_BITS), name=f"rounded_{lane}")
            m.d.sync += self.result[lane].eq(saturate(rounded, low, high, RESULT_BITS))
        return m
