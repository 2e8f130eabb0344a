# SPDX-License-Identifier: Apache-2.0
"""Expert queues: which tokens go to which expert, with their gates."""

from __future__ import annotations

from typing import Any

from amaranth import Array, C, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.rtl.format.experts import (
    QueueAppend,
    QueueAppendPorts,
    QueueRead,
    QueueReadPorts,
    QueueSize,
    QueueSizePorts,
    queue_entry,
)
from hlsgen.rtl.format.widths import gather_bits, queue_bits, row_bits
from hlsgen.rtl.parts.memories import WordMemory

LOAD, DRAIN = range(2)
"""The readers."""


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
    append : In(QueueAppend)
    read : In(QueueRead), one per reader
    size : In(QueueSize)

    Latency
    -------
    2 cycles from address to entry.

    Throughput
    ----------
    One append and two reads a cycle.
    """

    start: Signal
    append: QueueAppendPorts
    read: list[QueueReadPorts]
    size: QueueSizePorts

    def __init__(self, parameters: MachineParameters) -> None:
        p = self._parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "append": In(QueueAppend(p)),
                "read": In(QueueRead(p)).array(2),
                "size": In(QueueSize(p)),
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
        who = self.append.expert
        m.d.comb += [
            entries.write.eq(self.append.valid),
            entries.write_address.eq(places[who]),
            entries.write_data.eq(self.append.entry),
        ]
        for index, reader in enumerate(self.read):
            m.d.comb += [
                entries.read_address[index].eq(reader.address),
                reader.entry.as_value().eq(entries.read_data[index]),
            ]
        full = (tails[who] == p.rows) | (tiles[who] == 0)
        with m.If(self.append.valid):
            m.d.sync += [
                places[who].eq(places[who] + 1),
                tiles[who].eq(tiles[who] + full),
                tails[who].eq(Mux(full, 1, tails[who] + 1)),
            ]
        with m.If(self.start):
            for index in count:
                first = C(index * p.queue_tokens, queue_bits(p))
                m.d.sync += [places[index].eq(first), tiles[index].eq(0), tails[index].eq(0)]
        m.d.sync += [
            self.size.tiles.eq(tiles[self.size.expert]),
            self.size.tail_rows.eq(tails[self.size.expert]),
        ]
        return m
