# SPDX-License-Identifier: Apache-2.0
"""Expert queues: which tokens go to which expert, with their gates."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.jobs import gather_bits, memory_bits, queue_bits, row_bits
from hlsgen.rtl.parts.memories import WordMemory
from hlsgen.rtl.parts.pipeline import address_bits

GATE_BITS = 15


def queue_entry(p: MachineParameters) -> data.StructLayout:
    """A token: its row's distance from the tensor's first one, in words, its gate, whether no expert before
    this one has it."""
    return data.StructLayout({"offset": memory_bits(p), "gate": GATE_BITS, "first": 1})


class ExpertQueues(wiring.Component):
    """One queue for each expert, filled in token order and read in any order.

    A queue has room for every token, so nothing is ever dropped and nothing waits.

    Parameters
    ----------
    parameters
        The machine's shape.

    Members
    -------
    start : In(1)
        Empties all queues.
    append : In(1), append_expert, append_entry : In
    read_address : In, two readers
        Expert times queue length, plus place in the queue.
    read_entry : Out, two readers
    expert : In
        Whose size is asked for.
    tiles, tail_rows : Out
        Its tiles, and the rows of the last one; 0 tiles for an empty queue. One cycle after `expert`.

    Latency
    -------
    2 cycles from address to entry.

    Throughput
    ----------
    One append and two reads a cycle.
    """

    start: Signal
    append: Signal
    append_expert: Signal
    append_entry: Any
    read_address: Any
    read_entry: Any
    expert: Signal
    tiles: Signal
    tail_rows: Signal

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        entry = queue_entry(p)
        super().__init__(
            {
                "start": In(1),
                "append": In(1),
                "append_expert": In(address_bits(p.experts)),
                "append_entry": In(entry),
                "read_address": In(queue_bits(p)).array(2),
                "read_entry": Out(entry).array(2),
                "expert": In(address_bits(p.experts)),
                "tiles": Out(gather_bits(p)),
                "tail_rows": Out(row_bits(p)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m, p = Module(), self._parameters
        count = range(p.experts)
        places = Array([Signal(queue_bits(p), name=f"place_{i}") for i in count])
        tiles = Array([Signal(gather_bits(p), name=f"tiles_{i}") for i in count])
        tails = Array([Signal(row_bits(p), name=f"tail_{i}") for i in count])
        m.submodules.entries = entries = WordMemory(
            queue_entry(p).size, p.experts * p.queue_tokens, readers=2
        )
        who = self.append_expert
        m.d.comb += [
            entries.write.eq(self.append),
            entries.write_address.eq(places[who]),
            entries.write_data.eq(self.append_entry),
        ]
        for index in range(2):
            m.d.comb += [
                entries.read_address[index].eq(self.read_address[index]),
                self.read_entry[index].as_value().eq(entries.read_data[index]),
            ]
        full = (tails[who] == p.rows) | (tiles[who] == 0)
        with m.If(self.append):
            m.d.sync += [
                places[who].eq(places[who] + 1),
                tiles[who].eq(tiles[who] + full),
                tails[who].eq(Mux(full, 1, tails[who] + 1)),
            ]
        with m.If(self.start):
            for index in count:
                first = C(index * p.queue_tokens, queue_bits(p))
                m.d.sync += [places[index].eq(first), tiles[index].eq(0), tails[index].eq(0)]
        m.d.sync += [self.tiles.eq(tiles[self.expert]), self.tail_rows.eq(tails[self.expert])]
        return m
