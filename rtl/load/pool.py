# SPDX-License-Identifier: Apache-2.0
"""Sums over rows, for LOAD modes pool and pool_norm."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import POOL
from hlsgen.rtl.load.normalise import VALUE_BITS
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import total, without_reset


# A column of two groups, then the next column:
#
#   cycle   0        1        2        3
#   word    group 0  group 1  group 0
#   sum              group 0  both     group 0   `o_valid` with both
class Pool(wiring.Component):
    """Adds up words.

    Parameters
    ----------
    columns
        Lanes.
    row_width
        Words that come at once.

    Members
    -------
    valid, first, last : In(1)
        A word; the first, the last of a sum.
    rows : In(W)
        Which of the words count.
    word : In(W*C x signed 16)
    o_valid : Out(1)
        `sum` is complete.
    sum : Out(C x signed 32)

    Latency
    -------
    `latency` cycles from the last word.

    Throughput
    ----------
    `row_width` words a cycle.
    """

    latency = POOL
    valid: Signal
    first: Signal
    last: Signal
    rows: Signal
    word: Any
    o_valid: Signal
    sum: Any

    def __init__(self, columns: int, row_width: int = 1) -> None:
        self._columns, self._row_width = columns, row_width
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "rows": In(row_width),
                "word": In(words_of(16, columns * row_width)),
                "o_valid": Out(1),
                "sum": Out(data.ArrayLayout(signed(VALUE_BITS), columns)),
            }
        )
        without_reset(self, "sum")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.d.sync += self.o_valid.eq(self.valid & self.last)
        with m.If(self.valid):
            for lane in range(self._columns):
                m.d.sync += self.sum[lane].eq(Mux(self.first, 0, self.sum[lane]) + self._column(lane))
        return m

    def _column(self, lane: int) -> Value:
        """The words' elements of one column, added up."""
        if self._row_width == 1:
            return self.word[lane]
        words = [self.word[index * self._columns + lane] for index in range(self._row_width)]
        return total([Mux(self.rows[index], word, 0) for index, word in enumerate(words)])
