# SPDX-License-Identifier: Apache-2.0
"""LOAD mode exp: logits to exp(logit - row maximum), and the row's denominator."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import EXP, denominator
from hlsgen.rtl.load.ports import ContextRow, ContextRowPorts, Scores, ScoresPorts
from hlsgen.rtl.parts.memories import Table, TableWrite, TableWritePorts
from hlsgen.rtl.parts.pipeline import delay, tree, without_reset


# A row of two words of two to four columns:
#
#   cycle             0       1       2       3  4       5       6       7
#   scores            word 0  word 1
#   table.index               word 0  word 1                                   the maximum minus each logit
#   word                                         word 0  word 1
#   sums of words                                        word 0  word 1        more cycles for more columns
#   row.denominator                                              word 0  row   `row.start` with the row's
class ExpLoad(wiring.Component):
    """Score words to exp words, or to a digit of theirs: a row's scores then come twice.

    Parameters
    ----------
    parameters
        The machine's shape.
    block
        See `Table`.

    Members
    -------
    table : In(TableWrite)
    scores : In(Scores)
    valid : Out(1)
    word : Out(C x 8)
        Unsigned.
    row : Out(ContextRow)
        `denominator_latency` cycles after the row's last scores.

    Latency
    -------
    `latency`, `denominator_latency`.

    Throughput
    ----------
    One word a cycle.
    """

    latency = EXP
    table: TableWritePorts
    scores: ScoresPorts
    valid: Signal
    word: Any
    row: ContextRowPorts

    def __init__(self, parameters: MachineParameters, *, block: bool = False) -> None:
        self._columns, self._bits, self._block = parameters.columns, parameters.logit_bits, block
        self._hides, self._digits = bool(parameters.score_addends), parameters.numerator_digits
        self.denominator_latency = denominator(parameters)
        super().__init__(
            {
                "table": In(TableWrite(self._digits << self._bits)),
                "scores": In(Scores(parameters)),
                "valid": Out(1),
                "word": Out(data.ArrayLayout(8, self._columns)),
                "row": Out(ContextRow()),
            }
        )
        without_reset(self.row, "denominator")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.submodules.table = table = Table(self._columns, self._digits << self._bits, block=self._block)
        wiring.connect(m, wiring.flipped(self.table), table.write)
        scores = self.scores
        flags = delay(m, Cat(scores.first, scores.last, self._kept()), self.latency, name="flags")
        m.d.comb += self.valid.eq(delay(m, scores.valid, self.latency, name="valid"))
        m.d.sync += table.bank.eq(scores.bank)
        for lane in range(self._columns):
            difference = (scores.maximum - scores.logits[lane])[: self._bits]
            m.d.sync += table.index[lane].eq(Cat(difference, scores.high) if self._digits > 1 else difference)
            m.d.comb += self.word[lane].eq(Mux(flags[2 + lane], table.value[lane], 0))
        self._denominator(m, self.valid, flags[0], flags[1])
        return m

    def _kept(self) -> Value:
        """Columns that are keys and not hidden."""
        if not self._hides:
            return self.scores.mask
        lowest, scores = -(1 << (self._bits - 1)), self.scores
        shown = Cat(scores.logits[lane] != lowest for lane in range(self._columns))
        return scores.mask & (shown | (~scores.hides).replicate(self._columns))

    def _denominator(self, m: Module, valid: Value, first: Value, last: Value) -> None:
        word_sum, stages = tree(m, [self.word[lane] for lane in range(self._columns)], name="sum")
        assert self.latency + stages + 1 == self.denominator_latency
        valid = delay(m, valid, stages, name="sum_valid")
        first = delay(m, first, stages, name="sum_first")
        last = delay(m, last, stages, name="sum_last")
        if self._digits > 1:
            high = delay(m, self.scores.high, self.latency + stages, name="sum_high")
            word_sum = Mux(high, word_sum << 8, word_sum)
        with m.If(valid):
            m.d.sync += self.row.denominator.eq(Mux(first, 0, self.row.denominator) + word_sum)
        m.d.sync += self.row.start.eq(valid & last)
