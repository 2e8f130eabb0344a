# SPDX-License-Identifier: Apache-2.0
"""Scores with their addends as logits: the lowest one says that the key is hidden."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.latency import ADD, SCORE_ADDEND, drain_result
from hlsgen.numerics import HIDDEN
from hlsgen.rtl.arith.numerics import saturate_bits
from hlsgen.rtl.drain.add import AddRows
from hlsgen.rtl.format.widths import group_lanes
from hlsgen.rtl.parts.memories import words_of
from hlsgen.rtl.parts.pipeline import delay, without_reset


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
