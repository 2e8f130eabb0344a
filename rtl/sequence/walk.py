# SPDX-License-Identifier: Apache-2.0
"""Where the sequencer is in a command: the registers of one walk over its jobs."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Module, Mux, Signal, Value

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.widths import drain_bits, memory_bits, operand_bits


class Position(NamedTuple):
    """A job's place in its command, in values; `outer` is a group or a head."""

    tile: Value
    outer: Value
    first_outer: Value
    slot: Value
    memory: Value
    operand: Value
    block: Value
    token: Value
    opens: Value
    reading_tile: Value

    def unless(self, condition: Value, other: Position) -> Position:
        """This place, or the other one where `condition` is high."""
        return Position(*(Mux(condition, *pair) for pair in zip(other, self, strict=True)))


class Walk:
    """Registers of one walk through a command: outer (sweep or head), tile, and what runs along."""

    def __init__(self, name: str, p: MachineParameters, trace: bool) -> None:
        self.at = Position(
            tile=Signal(field(p, "tiles"), name=f"{name}_tile"),
            outer=Signal(field(p, "sweeps", "heads"), name=f"{name}_outer"),
            first_outer=Signal(name=f"{name}_first_outer", init=1),
            slot=Signal(name=f"{name}_slot"),
            memory=Signal(max(memory_bits(p), drain_bits(p)), name=f"{name}_memory"),
            operand=Signal(operand_bits(p), name=f"{name}_operand"),
            block=Signal(16, name=f"{name}_block"),
            token=Signal(16, name=f"{name}_token"),
            opens=Signal(name=f"{name}_opens"),
            reading_tile=Signal(field(p, "span"), name=f"{name}_reading_tile"),
        )
        self._trace, self._rows, self._streamed = trace, p.rows, p.streamed
        self._counts_tokens = trace or p.experts > 0

    def start(self, memory: Value) -> list[Any]:
        """Statements: to the command's first job."""
        at = self.at
        zeros = (at.tile, at.outer, at.slot, at.operand, at.block, at.token, at.reading_tile)
        ones = (at.first_outer, at.opens)
        return [*(signal.eq(0) for signal in zeros), *(signal.eq(1) for signal in ones), at.memory.eq(memory)]

    def advance(
        self, m: Module, last_tile: Value, closes: Value, memory: Value, operand: Value, blocks: Value
    ) -> None:
        """To the next job: tiles inner. `closes`: the next one uses the next reading of keys and values."""
        at = self.at
        if self._streamed:
            m.d.sync += [at.opens.eq(closes), at.reading_tile.eq(Mux(closes, 0, at.reading_tile + 1))]
            with m.If(closes):  # the two heads in the memories take turns
                m.d.sync += at.operand.eq(Mux(at.operand == 0, operand, 0))
        m.d.sync += at.slot.eq(~at.slot)
        with m.If(last_tile):
            m.d.sync += [
                at.tile.eq(0),
                at.outer.eq(at.outer + 1),
                at.first_outer.eq(0),
                at.memory.eq(at.memory + memory),
            ]
            if not self._streamed:
                m.d.sync += at.operand.eq(at.operand + operand)
            if self._counts_tokens:
                m.d.sync += at.token.eq(0)
            if self._trace:
                m.d.sync += at.block.eq(at.block + blocks)
        with m.Else():
            m.d.sync += at.tile.eq(at.tile + 1)
            if self._counts_tokens:
                m.d.sync += at.token.eq(at.token + self._rows)
