# SPDX-License-Identifier: Apache-2.0
"""Reciprocal of an integer as a mantissa and an exponent, one at a time."""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import MEMORY, MULTIPLIER, RECIPROCAL
from hlsgen.rtl.arith.multiplier import Multiplier
from hlsgen.rtl.arith.numerics import DROP_BITS, mantissa_table, round_shift_constant
from hlsgen.rtl.parts.memories import ram
from hlsgen.rtl.parts.pipeline import delay, register

BITS = 32
_SHIFTS = ((16, 8), (4, 2), (1,))
"""Places by which a leading one may move up, in each step."""


class Reciprocal(wiring.Component):
    """`numerics.reciprocal` for x > 0.

    Members
    -------
    start : In(1), x : In(32)
    valid : Out(1)
        For one cycle; mantissa and exponent stay until the next one's.
    mantissa : Out(16), exponent : Out(5)

    Latency
    -------
    `latency` cycles from start to valid.

    Throughput
    ----------
    One at a time.
    """

    latency = RECIPROCAL
    start: Signal
    x: Signal
    valid: Signal
    mantissa: Signal
    exponent: Signal

    def __init__(self) -> None:
        super().__init__(
            {"start": In(1), "x": In(BITS), "valid": Out(1), "mantissa": Out(16), "exponent": Out(5)}
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        current, shifted = Signal(BITS, reset_less=True), Signal(5, reset_less=True)
        running = register(m, self.start, name="running_0")
        steps = [running]
        for index in range(len(_SHIFTS)):
            steps.append(register(m, steps[-1], name=f"running_{index + 1}"))
        with m.If(self.start):
            m.d.sync += [current.eq(self.x), shifted.eq(0)]
        for step, amounts in zip(steps, _SHIFTS, strict=False):
            moved, places = current, shifted
            for amount in amounts:
                empty = ~moved[BITS - amount :].any()
                moved = Mux(empty, Cat(C(0, amount), moved[: BITS - amount]), moved)
                places = Mux(empty, places + amount, places)[: len(shifted)]
            with m.If(step):
                m.d.sync += [current.eq(moved), shifted.eq(places)]
        top = current[BITS - 16 :]
        table = ram(m, "mantissas", 16 + DROP_BITS, 512, init=mantissa_table())
        port = table.read_port()
        m.d.comb += port.addr.eq(Cat(top[8:], C(1, 1)))
        entry = register(m, port.data, name="entry")
        m.submodules.interpolate = product = Multiplier(DROP_BITS + 1, 9, latency=MULTIPLIER)
        m.d.comb += [product.a.eq(entry[16:]), product.b.eq(top[:8])]
        below = round_shift_constant(product.p, 8)
        m.d.sync += [
            self.mantissa.eq((entry[:16] - below)[:16]),
            self.exponent.eq(BITS - 1 - shifted),
        ]
        later = MEMORY + MULTIPLIER + 1
        assert 1 + len(_SHIFTS) + later == self.latency
        # The normalised value stands still from here on: the delays only count its way.
        m.d.comb += self.valid.eq(delay(m, steps[len(_SHIFTS)], later, name="on_its_way"))
        return m
