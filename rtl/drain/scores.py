# SPDX-License-Identifier: Apache-2.0
"""Scores leave DRAIN's pipeline early: to their memory, and to the maxima of their rows."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.drain.attention import RowMaxima
from hlsgen.rtl.format.jobs import drain_tag
from hlsgen.rtl.format.rows import ScoreWrite, ScoreWritePorts
from hlsgen.rtl.format.widths import group_lanes, tile_groups
from hlsgen.rtl.parts.memories import words_of


# A tile of two groups, four columns:
#
#   cycle         0        1        4        5
#   tag, result   group 0  group 1
#   write         group 0  group 1
#   maxima                          group 0  group 1
#
# LOAD learns of the tile before its maxima stand, `MAXIMUM_LEAD` cycles: it reads the scores first.
class DrainScores(wiring.Component):
    """Saturated results to logits, and to the maximum of every row of both score tiles.

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
    maxima : Out(2*R x signed logit)

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
                "maxima": Out(data.ArrayLayout(signed(p.logit_bits), 2 * p.rows)),
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
            for group in range(2 * tile_groups(p))
        ]
