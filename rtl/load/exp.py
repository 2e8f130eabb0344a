# SPDX-License-Identifier: Apache-2.0
"""LOAD mode exp: logits to exp(logit - row maximum), and the row's denominator."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import EXP, denominator
from hlsgen.rtl.load.row_unit import DENOMINATOR_BITS
from hlsgen.rtl.parts.memories import Table, TableWrite, TableWritePorts, words_of
from hlsgen.rtl.parts.pipeline import delay, tree, without_reset


class ExpLoad(wiring.Component):
    """Score words to exp words.

    Parameters
    ----------
    parameters
        The machine's shape.
    block
        See `Table`.

    Members
    -------
    table : In(TableWrite)
    logits : In(C x signed logit)
    maximum : In(signed logit)
        The row's maximum.
    bank : In(1)
    mask : In(C)
        Columns that are keys; the others give 0.
    valid, first, last : In(1)
        A word; the row's first, its last.
    word : Out(C x 8)
        Unsigned, `latency` cycles after the logits.
    denominator_valid : Out(1)
    denominator : Out(24)
        The sum of a row's words, `denominator_latency` cycles after the last logits.

    Latency
    -------
    `latency`, `denominator_latency`.

    Throughput
    ----------
    One word a cycle.
    """

    latency = EXP
    table: TableWritePorts
    logits: Any
    maximum: Signal
    bank: Signal
    mask: Signal
    valid: Signal
    first: Signal
    last: Signal
    word: Any
    denominator_valid: Signal
    denominator: Signal

    def __init__(self, parameters: MachineParameters, *, block: bool = False) -> None:
        self._columns, self._bits, self._block = parameters.columns, parameters.logit_bits, block
        self.denominator_latency = denominator(parameters)
        super().__init__(
            {
                "table": In(TableWrite(1 << self._bits)),
                "logits": In(words_of(self._bits, self._columns)),
                "maximum": In(signed(self._bits)),
                "bank": In(1),
                "mask": In(self._columns),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "word": Out(data.ArrayLayout(8, self._columns)),
                "denominator_valid": Out(1),
                "denominator": Out(DENOMINATOR_BITS),
            }
        )
        without_reset(self, "denominator")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.table = table = Table(self._columns, 1 << self._bits, block=self._block)
        wiring.connect(m, wiring.flipped(self.table), table.write)
        flags = delay(m, Cat(self.first, self.last, self.mask), self.latency, name="flags")
        valid = delay(m, self.valid, self.latency, name="valid")
        m.d.sync += table.bank.eq(self.bank)
        for lane in range(self._columns):
            m.d.sync += table.index[lane].eq((self.maximum - self.logits[lane])[: self._bits])
            m.d.comb += self.word[lane].eq(Mux(flags[2 + lane], table.value[lane], 0))
        self._denominator(m, valid, flags[0], flags[1])
        return m

    def _denominator(self, m: Module, valid: Value, first: Value, last: Value) -> None:
        word_sum, stages = tree(m, [self.word[lane] for lane in range(self._columns)], name="sum")
        assert self.latency + stages + 1 == self.denominator_latency
        valid = delay(m, valid, stages, name="sum_valid")
        first = delay(m, first, stages, name="sum_first")
        last = delay(m, last, stages, name="sum_last")
        with m.If(valid):
            m.d.sync += self.denominator.eq(Mux(first, 0, self.denominator) + word_sum)
        m.d.sync += self.denominator_valid.eq(valid & last)
