# SPDX-License-Identifier: Apache-2.0
"""DRAIN mode add: a residual row or the addend stream is added, saturated to int16."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import ADD
from hlsgen.rtl.arith.numerics import saturate_bits
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import register, without_reset


#   cycle       0    1    2
#   x, addend   row
#   both             row        the sum, a bit wider
#   result                row   saturated
class AddRows(wiring.Component):
    """saturate16(x + addend) for C lanes.

    Parameters
    ----------
    columns
        Lanes.
    bits
        Width of x.

    Members
    -------
    x : In(C x signed), addend : In(C x signed 16)
    result : Out(C x signed 16)

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One row a cycle.
    """

    latency = ADD
    x: Any
    addend: Any
    result: Any

    def __init__(self, columns: int, bits: int = 16) -> None:
        self._columns = columns
        word = words_of(16, columns)
        super().__init__({"x": In(words_of(bits, columns)), "addend": In(word), "result": Out(word)})
        without_reset(self, "result")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        for lane in range(self._columns):
            both = register(m, self.x[lane] + self.addend[lane], name=f"both_{lane}")
            m.d.sync += self.result[lane].eq(saturate_bits(both, 16))
        return m
