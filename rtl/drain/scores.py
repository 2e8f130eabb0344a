# SPDX-License-Identifier: Apache-2.0
"""Scores leave DRAIN's pipeline early: to their memory, and to the maxima of their rows.

With an addend the lowest logit says that the key is hidden.
"""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import ADD, SCORE_ADDEND, drain_result
from hlsgen.numerics import HIDDEN
from hlsgen.rtl.arith.numerics import saturate_bits
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.drain.attention import RowMaxima
from hlsgen.rtl.format.jobs import drain_tag
from hlsgen.rtl.format.rows import ScoreWrite, ScoreWritePorts
from hlsgen.rtl.format.widths import group_lanes, tile_groups
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import delay, without_reset


# A tile of two groups, four columns:
#
#   cycle         0        1        4        5
#   tag, result   group 0  group 1
#   write         group 0  group 1
#   maxima                          group 0  group 1
#
# LOAD learns of the tile before its maxima stand, `MAXIMUM_LEAD` cycles: it reads the scores first.
class DrainScores(wiring.Component):
    """Saturated results to logits, and to the maximum of every row of all score tiles.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        Tags carry the trace.

    Members
    -------
    tag : In(drain_tag)
        The group's, with `result`.
    result : In(W*C x signed 16)
        Within a logit's bits where the tag says that it is scores.
    write : Out(ScoreWrite)
    maxima : Out(S*R x signed logit), of S score tiles

    Latency
    -------
    None to `write`, `latency.row_maxima` to the maxima.

    Throughput
    ----------
    One group a cycle.
    """

    tag: Any
    result: Any
    write: ScoreWritePorts
    maxima: Any

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "tag": In(drain_tag(p, trace)),
                "result": In(words_of(16, group_lanes(p))),
                "write": Out(ScoreWrite(p)),
                "maxima": Out(data.ArrayLayout(signed(p.logit_bits), p.score_slots * p.rows)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p, tag = Module(), self._parameters, self.tag
        m.d.comb += [self.write.valid.eq(tag.scores), self.write.address.eq(tag.address)]
        for index in range(p.row_width):
            first = index * p.columns
            logits = [self.result[first + lane][: p.logit_bits].as_signed() for lane in range(p.columns)]
            m.d.comb += [self.write.word[first + lane].eq(logit) for lane, logit in enumerate(logits)]
            self._maxima(m, index, logits)
        return m

    def _maxima(self, m: Module, index: int, logits: list[Value]) -> None:
        """The maxima of one row of every group."""
        p, tag = self._parameters, self.tag
        m.submodules[f"row_{index}"] = row = RowMaxima(p)
        m.d.comb += [
            row.valid.eq(tag.scores),
            row.mask.eq(tag.mask),
            row.restart.eq(tag.restart),
            row.slot.eq(tag.slot),
            row.row.eq(tag.row),
            *(row.logits[lane].eq(logit) for lane, logit in enumerate(logits)),
        ]
        m.d.comb += [
            self.maxima[group * p.row_width + index].eq(row.maxima[group])
            for group in range(p.score_slots * tile_groups(p))
        ]


#   cycle          0      1    2      3
#   addend         group                    as it goes into `AddRows`
#   total, adds                group
#   logits                            group
class ScoreAddends(wiring.Component):
    """The second half of `numerics.add_scores` for W*C lanes; `AddRows` is the first.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    addend : In(W*C x signed 16), total : In(W*C x signed 16)
        What was added, `ADD` cycles before the sum.
    adds : In(1)
        With the sum: it is a score with an addend; of others the sum is a logit.
    logits : Out(W*C x signed logit)

    Latency
    -------
    `latency` cycles from `addend`.

    Throughput
    ----------
    One group a cycle.
    """

    latency = SCORE_ADDEND
    addend: Any
    total: Any
    adds: Signal
    logits: Any

    def __init__(self, parameters: MachineParameters) -> None:
        self._bits, self._lanes = parameters.logit_bits, group_lanes(parameters)
        word = words_of(16, self._lanes)
        logits = Out(words_of(self._bits, self._lanes))
        super().__init__({"addend": In(word), "total": In(word), "adds": In(1), "logits": logits})
        without_reset(self, "logits")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, lowest = Module(), -(1 << (self._bits - 1))
        for lane in range(self._lanes):
            # Without an addend 0 was added, which hides nothing.
            hidden = delay(m, self.addend[lane] == HIDDEN, ADD, name=f"hidden_{lane}")
            logit = Signal(signed(self._bits), name=f"logit_{lane}")
            raised = self.adds & (logit == lowest)
            m.d.comb += logit.eq(saturate_bits(self.total[lane], self._bits))
            m.d.sync += self.logits[lane].eq(Mux(hidden, lowest, logit | raised))
        return m


def logits_of(m: Module, p: MachineParameters, tags: dict[int, Any], add: AddRows) -> list[Value]:
    """The sums of a group with their addends as logits, `latency.score_result`.

    tags: DRAIN's, by the cycle since the group was selected. add: of the cycle of `latency.drain_result`.
    """
    m.submodules.score_addends = addends = ScoreAddends(p)
    m.d.comb += [
        addends.adds.eq(tags[drain_result(p) + ADD].score_addends),
        addends.addend.eq(add.addend),
        addends.total.eq(add.result),
    ]
    return [addends.logits[lane] for lane in range(group_lanes(p))]
