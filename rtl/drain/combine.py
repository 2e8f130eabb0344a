# SPDX-License-Identifier: Apache-2.0
"""DRAIN mode combine: results times their token's gate, before they are added to its row."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import GATE, MULTIPLIER
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.arith.numerics import doubled, shift_coarse, shift_fine, shift_round
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import delay, register, without_reset

GATED_BITS = 18
"""Width of a weighted result: two bits more than the sum saturates to, so clamping it changes no sum."""


#   cycle            0    3    4    5    6
#   x, gate, shift   row
#   product.p             row
#   coarse, fine               row  row        the shift, in two stages
#   result                               row   rounded, or x as it was
class GateRows(wiring.Component):
    """round_shift(x * gate, shift) for C lanes, or x itself.

    Parameters
    ----------
    columns
        Lanes.
    style
        `Multiplier` style.

    Members
    -------
    x : In(C x signed 16)
    gate : In(15), shift : In(4)
    weighs : In(1)
        Without it x passes unchanged.
    result : Out(C x signed 18)

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One row a cycle.
    """

    latency = GATE
    x: Any
    gate: Signal
    shift: Signal
    weighs: Signal
    result: Any

    def __init__(self, columns: int, *, style: str = "plain") -> None:
        self._columns, self._style = columns, style
        super().__init__(
            {
                "x": In(words_of(16, columns)),
                "gate": In(15),
                "shift": In(4),
                "weighs": In(1),
                "result": Out(words_of(GATED_BITS, columns)),
            }
        )
        without_reset(self, "result")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        coarse_shift = delay(m, self.shift, MULTIPLIER, name="coarse_shift")
        fine_shift = register(m, coarse_shift, name="fine_shift")
        weighs = delay(m, self.weighs, self.latency - 1, name="weighs")
        for lane in range(self._columns):
            product = Multiplier(16, 16, latency=MULTIPLIER, style=self._style)
            m.submodules[f"product_{lane}"] = product
            m.d.comb += [product.a.eq(self.x[lane]), product.b.eq(Cat(self.gate, C(0, 1)).as_signed())]
            coarse = shift_coarse(doubled(product.p), coarse_shift, GATED_BITS)
            fine = shift_fine(register(m, coarse, name=f"coarse_{lane}"), fine_shift)
            fine = register(m, fine, name=f"fine_{lane}")
            rounded = shift_round(fine, GATED_BITS)
            plain = delay(m, self.x[lane], self.latency - 1, name=f"plain_{lane}")
            m.d.sync += self.result[lane].eq(Mux(weighs, rounded, plain))
        return m
