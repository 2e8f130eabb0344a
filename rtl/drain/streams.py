# SPDX-License-Identifier: Apache-2.0
"""DRAIN's addend and output queues, with reservations that keep the pipeline from ever waiting."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.depths import queue_depth
from hlsgen.rtl.format.jobs import output_word
from hlsgen.rtl.format.ports import Reservations, ReservationsPorts
from hlsgen.rtl.format.widths import group_lanes, tile_groups
from hlsgen.rtl.parts.memories import ram
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, moved
from hlsgen.rtl.parts.queues import Queue

KEPT = ("keeps", "again", "end_head")
"""What DRAIN says of an addend that it takes, where addends may be kept."""


# An addend comes, is reserved with a block's last step, and taken when its group is there; a result leaves:
#
#   cycle                  0      1  2      3      n
#   addends                group
#   reservations.level     0      1  1      0
#   reservations.addends             1
#   addend                           group  group  group
#   take_addend                                    1
#
#   cycle         0      1  2      3
#   put_output    group
#   output                  group
#   output_left                    1   every reserved one has left
class DrainStreams(wiring.Component):
    """Addends in, results out.

    Where addends may be kept, those of a command's first head are there for the heads behind it.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    addends : In(stream), output : Out(stream)
    reservations : In(Reservations)
    take_addend : In(1)
        `addend` is used up.
    keeps, again, end_head : In(1)
        With `take_addend`: it is kept; it is one that was kept; it is the head's last one. Only where addends
        may be kept.
    put_output : In(1), output_word : In
    output_left : Out(1)
        Every reserved entry has left.

    Latency
    -------
    2 cycles through a queue.

    Throughput
    ----------
    One entry a cycle: a group's words.
    """

    addends: stream.Interface
    output: stream.Interface
    reservations: ReservationsPorts
    take_addend: Signal
    addend: Signal
    keeps: Signal
    again: Signal
    end_head: Signal
    put_output: Signal
    output_word: Any
    output_left: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        self._parameters, bits = parameters, 16 * group_lanes(parameters)
        kept = dict.fromkeys(KEPT, In(1)) if parameters.addend_words else {}
        super().__init__(
            {
                "addends": In(stream.Signature(bits)),
                "output": Out(stream.Signature(output_word(parameters))),
                "reservations": In(Reservations(parameters)),
                "take_addend": In(1),
                "addend": Out(bits),
                **kept,
                "put_output": In(1),
                "output_word": In(output_word(parameters)),
                "output_left": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        depth, bits = queue_depth(p), 16 * group_lanes(p)
        m.submodules.waiting = waiting = Queue(bits, depth)
        wiring.connect(m, wiring.flipped(self.addends), waiting.i)
        level = Signal(count_bits(2 * depth))
        arrives, groups = self.addends.valid & self.addends.ready, self.reservations.groups
        m.d.sync += level.eq(moved(level, arrives, self.reservations.addends, groups))
        m.d.comb += [
            self.reservations.level.eq(level),
            self.addend.eq(waiting.o.payload),
            waiting.o.ready.eq(self.take_addend),
        ]
        if p.addend_words:
            self._keep(m, waiting.o, bits)
        self._results(m, depth)
        return m

    def say(self, tag: Any) -> list[Any]:
        """Statements: what the tag of a group says of its addend."""
        takes = [self.take_addend.eq(tag.stream)]
        if not self._parameters.addend_words:
            return takes
        return [*takes, self.keeps.eq(tag.keeps), self.again.eq(tag.again), self.end_head.eq(tag.end_head)]

    def _keep(self, m: Module, waiting: Any, bits: int) -> None:
        """A first head's addends stay in a memory, of at least two groups, and are read in its order again.

        The next one to be read is at the memory's output: it was written at least two cycles before.
        """
        memory = ram(m, "kept", bits, 1 << address_bits(self._parameters.addend_words))
        write, read = memory.write_port(), memory.read_port()
        place, again = Signal(len(write.addr)), self.take_addend & self.again
        moves = self.take_addend & self.keeps
        following = Signal.like(place)
        m.d.comb += following.eq(Mux(moves, Mux(self.end_head, 0, place + 1), place))
        m.d.sync += place.eq(following)
        m.d.comb += [
            write.en.eq(moves & ~self.again),
            write.addr.eq(place),
            write.data.eq(waiting.payload),
            read.addr.eq(following),
            self.addend.eq(Mux(self.again, read.data, waiting.payload)),
            waiting.ready.eq(self.take_addend & ~again),
        ]

    def _results(self, m: Module, depth: int) -> None:
        m.submodules.results = results = Queue(output_word(self._parameters), depth)
        m.d.comb += [results.i.valid.eq(self.put_output), results.i.payload.eq(self.output_word)]
        wiring.connect(m, results.o, wiring.flipped(self.output))
        free = Signal(count_bits(depth), init=depth)
        leaves = self.output.valid & self.output.ready
        m.d.comb += self.reservations.space.eq(free >= tile_groups(self._parameters))
        left = (free == depth) | (leaves & (free == depth - 1))
        groups, reserves = self.reservations.groups, self.reservations.output
        m.d.sync += [free.eq(moved(free, leaves, reserves, groups)), self.output_left.eq(left & ~reserves)]
