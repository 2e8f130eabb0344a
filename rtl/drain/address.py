# SPDX-License-Identifier: Apache-2.0
"""Where DRAIN's rows go: running sums over rows, blocks, tiles and sweeps."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.modes.jobs import Kind
from hlsgen.rtl.format.command import field
from hlsgen.rtl.format.jobs import drain_job
from hlsgen.rtl.format.widths import drain_bits, slot_base, write_lane_bits
from hlsgen.rtl.parts.pipeline import without_reset


class _Window:
    """Groups of a window that are left, this one included, at each place where a walk goes on; 0: no windows.

    left: now. following: behind this group. begin: in the next block. start: of the next job. saved, tile: of
    the next tile. whole: of a job's first window.
    """

    PLACES = ("left", "following", "begin", "start", "saved", "tile", "whole")

    def __init__(self, p: MachineParameters) -> None:
        bits = field(p, "window_rows")
        self._at = {name: Signal(bits, name=f"window_{name}") for name in self.PLACES} if p.windows else {}

    def set(self, to: str, source: str) -> list[Any]:
        """Statements: one place becomes another."""
        return [self._at[to].eq(self._at[source])] if self._at else []

    def count(self, job: Any) -> list[Any]:
        """Statements: what follows, and where the next tile goes on if no block of this one ends."""
        if not self._at:
            return []
        left = self._at["left"]
        following = Mux(left == 1, job.window_groups, left - (left != 0))
        return [self._at["following"].eq(following), *self.set("tile", "saved")]

    def start(self, new: Any, restart: Value) -> list[Any]:
        """Statements: where the next job begins."""
        if not self._at:
            return []
        whole = [self._at["whole"].eq(new.window_groups)]
        return [*whole, self._at["start"].eq(Mux(restart, new.window_groups, self._at["tile"]))]

    def last(self, lane: Value, place: str) -> Value:
        """Whether the lane, or the window, is over with the group at a place."""
        return lane | (self._at[place] == 1) if self._at else lane


# Rows within a block, blocks within a job, tiles, groups of blocks: all places are sums that run along, none
# is a product. A plain job of two blocks on two groups of rows, and the next tile's:
#
#   cycle    0       1        2        3        4        5
#   load     tile 0                             tile 1
#   row              group 0  group 1  group 0  group 1  group 0
#   offset           begin    second   begin    second   tile
#   base             block 0  block 0  block 1  block 1  block 0
#   tile                      known    saved    saved
#
# `begin` is where every block of a tile starts, `tile` where the next tile will: behind the first block's
# last row. It is known in the cycle in which that row drains, and the register `saved` keeps it. A job of one
# block ends in that very cycle, in which the next job is loaded; so `load` reads `tile`, which has the new
# value already, not the register. `next_group` and its register `group` are the same for groups of blocks.
class DrainAddress(wiring.Component):
    """Address and lane of the group of rows that drains this cycle.

    A group lies `row_step` behind the one before it whenever the lane wraps, or a window ends; a block lies 1
    behind the one before it, at a head's end `head_jump`. Tiles continue where the tile before ended, groups
    likewise.

    Parameters
    ----------
    parameters
        The machine's shape.
    trace
        The job carries the trace.

    Members
    -------
    load : In(1)
    new : In
        The next job starts in the next cycle.
    job : In
        The job whose row drains.
    row, row_last, block_last : In(1)
        A row drains; it is the block's, the job's last.
    address, lane : Out

    Latency
    -------
    0 cycles.

    Throughput
    ----------
    One group a cycle.
    """

    load: Signal
    new: Any
    job: Any
    row: Signal
    row_last: Signal
    block_last: Signal
    address: Signal
    lane: Signal

    def __init__(self, parameters: MachineParameters, *, trace: bool = False) -> None:
        p = self._parameters = parameters
        layout = drain_job(p, trace)
        super().__init__(
            {
                "load": In(1),
                "new": In(layout),
                "job": In(layout),
                "row": In(1),
                "row_last": In(1),
                "block_last": In(1),
                "address": Out(drain_bits(p)),
                "lane": Out(write_lane_bits(p)),
            }
        )
        without_reset(self, "address", "lane")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        base, offset = Signal.like(self.address), Signal.like(self.address)
        m.d.comb += self.address.eq(base + offset)
        self._rows(m, offset)
        self._blocks(m, base)
        return m

    def _rows(self, m: Module, offset: Signal) -> None:
        """Rows within a block; the next tile starts where this one's first block ended."""
        new = self.new
        # `opens`: this is the first block of a job behind whose rows a tile may follow.
        begin, begin_lane, opens = Signal.like(offset), Signal.like(self.lane), Signal()
        # Whether the lane is the last one is known a cycle ahead; `begin_wraps`: whether `begin_lane` is.
        wraps, begin_wraps, continues = Signal(), Signal(), Signal()
        following = offset + Mux(wraps, self.job.row_step, 0)
        lane = Mux(wraps, 0, self.lane + 1)
        window = _Window(self._parameters)
        saved, saved_lane = Signal.like(offset), Signal.like(self.lane)
        tile, tile_lane = Signal.like(saved), Signal.like(saved_lane)
        m.d.comb += [tile.eq(saved), tile_lane.eq(saved_lane), *window.count(self.job)]
        m.d.comb += continues.eq(self.row & self.row_last & opens)
        m.d.sync += [saved.eq(tile), saved_lane.eq(tile_lane), *window.set("saved", "tile")]
        wraps_next = window.last(lane == self.job.lane_last, "following")
        with m.If(self.row):
            m.d.sync += [offset.eq(following), self.lane.eq(lane), wraps.eq(wraps_next)]
            m.d.sync += window.set("left", "following")
        with m.If(self.row & self.row_last):
            m.d.sync += [offset.eq(begin), self.lane.eq(begin_lane), wraps.eq(begin_wraps), opens.eq(0)]
            m.d.sync += window.set("left", "begin")
        with m.If(continues):
            m.d.comb += [tile.eq(following), tile_lane.eq(lane), *window.set("tile", "following")]
        restart = (new.kind == Kind.SCORES) | new.first_tile
        start, start_lane = Mux(restart, 0, tile), Mux(restart, 0, tile_lane)
        m.d.comb += window.start(new, restart)
        with m.If(self.load):
            m.d.sync += [offset.eq(start), begin.eq(start), opens.eq(new.kind != Kind.SCORES)]
            m.d.sync += [self.lane.eq(start_lane), begin_lane.eq(start_lane)]
            m.d.sync += [*window.set("left", "start"), *window.set("begin", "start")]
            saved_wraps = Mux(
                restart,
                window.last(new.lane_last == 0, "whole"),
                window.last(saved_lane == new.lane_last, "saved"),
            )
            m.d.sync += [wraps.eq(saved_wraps), begin_wraps.eq(saved_wraps)]
            with m.If(continues & ~restart):
                tile_wraps = window.last(lane == new.lane_last, "following")
                m.d.sync += [wraps.eq(tile_wraps), begin_wraps.eq(tile_wraps)]

    def _blocks(self, m: Module, base: Signal) -> None:
        """Blocks within a job; the next sweep starts where this one's last tile ended."""
        # `left`: words of the head that are left; `ends`: it is 1. Without heads `left` runs from 0
        # downwards, and would come to 1 where its register is narrow: `headed` says that it counts.
        new, left, ends, headed = self.new, Signal.like(self.job.head_words), Signal(), Signal()
        group, group_left, group_ends = Signal.like(base), Signal.like(left), Signal()
        next_group, next_left, next_ends = Signal.like(base), Signal.like(left), Signal()
        ends_group = Signal()
        following = (base + Mux(ends, self.job.head_jump, 1))[: len(base)]
        following_left = Mux(ends, self.job.head_words, left - 1)[: len(left)]
        following_ends = headed & Mux(ends, self.job.head_words == 1, left == 2)
        m.d.comb += [next_group.eq(group), next_left.eq(group_left), next_ends.eq(group_ends)]
        m.d.sync += [group.eq(next_group), group_left.eq(next_left), group_ends.eq(next_ends)]
        with m.If(self.row & self.row_last):
            m.d.sync += [base.eq(following), left.eq(following_left), ends.eq(following_ends)]
            m.d.comb += ends_group.eq(self.block_last & self.job.last_tile & (self.job.kind == Kind.PLAIN))
        with m.If(ends_group):
            m.d.comb += [next_group.eq(following), next_left.eq(following_left), next_ends.eq(following_ends)]
        plain, scores = new.kind == Kind.PLAIN, new.kind == Kind.SCORES
        again = plain & ~new.fresh
        begin = Mux(scores, slot_base(self._parameters, new.slot), Mux(again, next_group, new.base))
        with m.If(self.load):
            m.d.sync += [base.eq(begin), left.eq(Mux(again, next_left, new.head_words))]
            m.d.sync += [ends.eq(Mux(again, next_ends, new.head_words == 1)), headed.eq(new.head_words != 0)]
            with m.If(plain & new.fresh):
                m.d.sync += [group.eq(new.base), group_left.eq(new.head_words)]
                m.d.sync += group_ends.eq(new.head_words == 1)
