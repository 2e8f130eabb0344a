# SPDX-License-Identifier: Apache-2.0
"""DRAIN mode activation: a table of the pre-activation."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.time.latency import ACTIVATION
from hlsgen.rtl.parts.memories import Table, TableWrite, TableWritePorts, words_of


#   cycle           0    2    3
#   x, bank         row
#   eight entries        row        out of memory
#   result                    row   one of the eight
class Activation(wiring.Component):
    """table[x + half] for C lanes; half of the table's entries are for negative indices.

    Parameters
    ----------
    columns
        Lanes.
    bits
        Bits of an index.
    block
        See `Table`.

    Members
    -------
    table : In(TableWrite)
    bank : In(1)
    x : In(C x signed 16)
        Within the index's bits.
    result : Out(C x signed 8)

    Latency
    -------
    `latency` cycles.

    Throughput
    ----------
    One row a cycle.
    """

    latency = ACTIVATION
    table: TableWritePorts
    bank: Signal
    x: Any
    result: Any

    def __init__(self, columns: int, bits: int = 8, *, block: bool = False) -> None:
        self._columns, self._bits, self._block = columns, bits, block
        super().__init__(
            {
                "table": In(TableWrite(1 << bits)),
                "bank": In(1),
                "x": In(words_of(16, columns)),
                "result": Out(words_of(8, columns)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.table = table = Table(self._columns, 1 << self._bits, block=self._block)
        wiring.connect(m, wiring.flipped(self.table), table.write)
        m.d.comb += table.bank.eq(self.bank)
        for lane in range(self._columns):
            m.d.comb += [
                table.index[lane].eq(self.x[lane][: self._bits] ^ 1 << (self._bits - 1)),
                self.result[lane].eq(table.value[lane].as_signed()),
            ]
        return m
