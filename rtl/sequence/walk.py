# SPDX-License-Identifier: Apache-2.0
"""Where the sequencer is in a command: the registers of one walk over its jobs."""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth import Module, Mux, Signal, Value

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.widths import drain_bits, memory_bits, next_slot, operand_bits, slot_bits


class Position(NamedTuple):
    """A job's place in its command, in values; `outer` is a sweep or a head.

    `memory`: of the main walk where LOAD reads, of the other one where DRAIN writes: both without the rows.
    """

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


class Ends(NamedTuple):
    """What a job is the last of: its sweep's or head's tiles; the tiles of a reading of keys and values."""

    tiles: Value
    reading: Value


class Walk:
    """Registers of one walk through a command: outer (sweep or head), tile, and what runs along.

    shared: the field that says how many heads more have the same keys, or values, as a head.
    """

    def __init__(self, name: str, p: MachineParameters, trace: bool, shared: str) -> None:
        self.at = Position(
            tile=Signal(field(p, "tiles"), name=f"{name}_tile"),
            outer=Signal(field(p, "sweeps", "heads"), name=f"{name}_outer"),
            first_outer=Signal(name=f"{name}_first_outer", init=1),
            slot=Signal(slot_bits(p), name=f"{name}_slot"),
            memory=Signal(max(memory_bits(p), drain_bits(p)), name=f"{name}_memory"),
            operand=Signal(operand_bits(p), name=f"{name}_operand"),
            block=Signal(16, name=f"{name}_block"),
            token=Signal(16, name=f"{name}_token"),
            opens=Signal(name=f"{name}_opens"),
            reading_tile=Signal(field(p, "span"), name=f"{name}_reading_tile"),
        )
        self._share = Signal(field(p, shared), name=f"{name}_share")
        """Heads before this one that have the same keys and values."""
        self._trace, self._rows, self._streamed = trace, p.rows, p.streamed
        self._bases, self._slots = p.operand_bases > 0, p.score_slots
        self._shares = p.field_bits[shared] > 0
        self._counts_tokens = trace or p.experts > 0

    def start(self, memory: Value, operand: Value) -> list[Any]:
        """Statements: to the command's first job."""
        at = self.at
        zeros = (at.tile, at.outer, at.slot, at.operand, at.block, at.token, at.reading_tile, self._share)
        ones = (at.first_outer, at.opens)
        places = [at.memory.eq(memory)] + ([at.operand.eq(operand)] if self._bases else [])
        return [*(signal.eq(0) for signal in zeros), *(signal.eq(1) for signal in ones), *places]

    def advance(
        self, m: Module, ends: Ends, memory: Value, operand: Value, blocks: Value, shared: Value
    ) -> None:
        """To the next job: tiles inner. memory, operand: words from a sweep or a head to the next one."""
        at = self.at
        if self._streamed:
            m.d.sync += at.opens.eq(ends.reading)
            m.d.sync += at.reading_tile.eq(Mux(ends.reading, 0, at.reading_tile + 1))
            with m.If(ends.reading):  # the two heads in the memories take turns
                m.d.sync += at.operand.eq(Mux(at.operand == 0, operand, 0))
        m.d.sync += at.slot.eq(next_slot(self._slots, at.slot))
        with m.If(ends.tiles):
            m.d.sync += [
                at.tile.eq(0),
                at.outer.eq(at.outer + 1),
                at.first_outer.eq(0),
            ]
            self.step(m, memory)
            if not self._streamed:
                self._operands(m, operand, shared)
            if self._counts_tokens:
                m.d.sync += at.token.eq(0)
            if self._trace:
                m.d.sync += at.block.eq(at.block + blocks)
        with m.Else():
            m.d.sync += at.tile.eq(at.tile + 1)
            if self._counts_tokens:
                m.d.sync += at.token.eq(at.token + self._rows)

    def step(self, m: Module, memory: Value) -> None:
        """To the memory of the next sweep, or the next head."""
        m.d.sync += self.at.memory.eq(self.at.memory + memory)

    def _operands(self, m: Module, stride: Value, shared: Value) -> None:
        """To the next head's keys or values, if they are others than this one's."""
        at = self.at
        if not self._shares:
            m.d.sync += at.operand.eq(at.operand + stride)
            return
        last = self._share == shared
        m.d.sync += self._share.eq(Mux(last, 0, self._share + 1))
        with m.If(last):
            m.d.sync += at.operand.eq(at.operand + stride)
