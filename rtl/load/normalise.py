# SPDX-License-Identifier: Apache-2.0
"""The lanes of layer norm: shift, clamp, multiply, saturate; the shifter serves pooling as well."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import MULTIPLIER, NORMALISE, SHIFTED
from hlsgen.numerics import CENTRED_BITS, ROW_SHIFT
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.arith.numerics import (
    doubled,
    round_shift_constant,
    saturate_bits,
    shift_coarse,
    shift_fine,
    shift_round,
)
from hlsgen.rtl.parts.pipeline import register, without_reset

LEFT_BITS = ROW_SHIFT - 1
"""Furthest shift to the left."""
VALUE_BITS = 32
AMOUNT_BITS = 6
"""Amounts count from LEFT_BITS to the left: 0..63."""


def shift_amount(shift: Value) -> Value:
    """A signed shift (right positive) as the lanes' amount; beyond the value's width all shifts are alike."""
    amount = shift + LEFT_BITS
    return Mux(amount > 63, 63, amount)[:AMOUNT_BITS]


# One word; the row's multiplier is wanted only when the word has been shifted:
#
#   cycle           0     1     2     3      6     7
#   value, amount   word
#   coarse                word                            shifted by a multiple of 8
#   fine                        word
#   shifted                           word                rounded, clamped
#   multiplier                        row's
#   product.p                                word
#   result                                         word
class NormaliseLanes(wiring.Component):
    """`numerics.normalise` for a word, and its first half for pooling.

    Parameters
    ----------
    columns
        Lanes.
    style
        `Multiplier` style.

    Members
    -------
    value : In(C x signed 32)
    amount : In(6)
        Right shift plus LEFT_BITS.
    multiplier : In(16)
        Given `multiply_at` cycles after value.
    shifted : Out(C x signed 18)
        The shifted value, clamped; `shifted_latency` cycles after value.
    result : Out(C x signed 8)
        `latency` cycles after value.

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One word a cycle.
    """

    multiply_at = SHIFTED
    shifted_latency = SHIFTED
    latency = NORMALISE
    value: Any
    amount: Signal
    multiplier: Signal
    shifted: Any
    result: Any

    def __init__(self, columns: int, *, style: str = "plain") -> None:
        self._columns, self._style = columns, style
        super().__init__(
            {
                "value": In(data.ArrayLayout(signed(VALUE_BITS), columns)),
                "amount": In(AMOUNT_BITS),
                "multiplier": In(16),
                "shifted": Out(data.ArrayLayout(signed(CENTRED_BITS), columns)),
                "result": Out(data.ArrayLayout(signed(8), columns)),
            }
        )
        without_reset(self, "amount", "multiplier", "result")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        fine_amount = register(m, self.amount, name="fine_amount")
        factor = Cat(self.multiplier, C(0, 1)).as_signed()
        for lane in range(self._columns):
            value = doubled(Cat(C(0, LEFT_BITS), self.value[lane]).as_signed())
            coarse = register(m, shift_coarse(value, self.amount, CENTRED_BITS), name=f"coarse_{lane}")
            fine = register(m, shift_fine(coarse, fine_amount), name=f"fine_{lane}")
            rounded = register(m, shift_round(fine, CENTRED_BITS), name=f"rounded_{lane}")
            clamped = self._clamp(rounded)
            product = Multiplier(CENTRED_BITS, 17, latency=MULTIPLIER, style=self._style)
            m.submodules[f"product_{lane}"] = product
            m.d.comb += [self.shifted[lane].eq(clamped), product.a.eq(clamped), product.b.eq(factor)]
            m.d.sync += self.result[lane].eq(saturate_bits(round_shift_constant(product.p, ROW_SHIFT), 8))
        return m

    @staticmethod
    def _clamp(value: Value) -> Value:
        """Symmetric clamp to 18 bits."""
        lowest = -(1 << (CENTRED_BITS - 1))
        near = saturate_bits(value, CENTRED_BITS)
        return Mux(near == lowest, lowest + 1, near)
