# SPDX-License-Identifier: Apache-2.0
"""The memories: lanes written by words and read by steps in any proportion, queues, rings."""

from __future__ import annotations

import gc
from random import Random
from typing import Any

import pytest
from amaranth import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hlsgen.rtl.parts.memories import LaneMemory, Table, delay_in_memory
from hlsgen.rtl.parts.pipeline import delay
from hlsgen.rtl.parts.queues import Queue, Ring


def simulate(component: Any, *benches: Any) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for bench in benches[1:]:
        simulator.add_testbench(bench, background=True)
    simulator.add_testbench(benches[0])
    simulator.run()


@pytest.mark.parametrize(("columns", "depth"), [(4, 1), (4, 2), (4, 4), (2, 8), (1, 4), (1, 1)])
def test_lanes_are_written_by_words_and_read_by_steps(columns: int, depth: int) -> None:
    lanes, words = 3, 9
    memory: Any = LaneMemory(lanes=lanes, columns=columns, depth=depth, words=words)
    random = Random(1)
    held = [random.randbytes(words * columns) for _ in range(lanes)]

    async def bench(context: Any) -> None:
        for lane in range(lanes):
            for word in range(words):
                data = int.from_bytes(held[lane][word * columns : (word + 1) * columns], "little")
                values = {"write": 1, "write_lane": lane, "write_address": word, "write_data": data}
                for name, value in values.items():
                    context.set(getattr(memory, name), value)
                await context.tick()
        context.set(memory.write, 0)
        steps = words * columns // depth
        for step in range(steps + 1):  # an address every cycle, its data two cycles later
            context.set(memory.read_address, min(step, steps - 1))
            await context.tick()
            for lane in range(lanes if step else 0):
                found = context.get(memory.read_data[lane]).to_bytes(depth, "little")
                assert found == held[lane][(step - 1) * depth : step * depth]

    simulate(memory, bench)


@pytest.mark.parametrize("block", [False, True], ids=["eight", "entry"])
@pytest.mark.parametrize("entries", [8, 64])
def test_tables_are_written_by_eight_entries_and_read_by_one(entries: int, block: bool) -> None:
    columns, random = 2, Random(3)
    table: Any = Table(columns, entries, block=block)
    held = random.randbytes(2 * entries)
    asked = [[random.randrange(2 * entries) for _ in range(columns)] for _ in range(40)]

    async def bench(context: Any) -> None:
        for eighth in range(entries // 4):
            context.set(table.write.valid, 1)
            context.set(table.write.address, eighth)
            context.set(table.write.data, int.from_bytes(held[8 * eighth : 8 * eighth + 8], "little"))
            await context.tick()
        context.set(table.write.valid, 0)
        for step in range(len(asked) + Table.latency - 1):
            if step < len(asked):  # the bank is one for all lanes
                context.set(table.bank, asked[step][0] // entries)
                for lane, place in enumerate(asked[step]):
                    context.set(table.index[lane], place % entries)
            await context.tick()
            past = step - (Table.latency - 1)
            for lane, place in enumerate(asked[past] if past >= 0 else []):
                wanted = asked[past][0] // entries * entries + place % entries
                assert context.get(table.value[lane]) == held[wanted]

    simulate(table, bench)


def _source(port: Any, values: list[int], chance: float) -> Any:
    random = Random(2)

    async def bench(context: Any) -> None:
        for value in values:
            while random.random() > chance:
                await context.tick()
            context.set(port.payload, value)
            context.set(port.valid, 1)
            await context.tick().until(port.ready)
            context.set(port.valid, 0)

    return bench


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("put", "get"), [(1.0, 1.0), (1.0, 0.3), (0.3, 1.0), (0.6, 0.6)])
def test_queue_keeps_order_and_loses_nothing(put: float, get: float, apart: bool) -> None:
    queue: Any = Queue(8, 4, apart=apart)
    random = Random(3)
    values = [random.randrange(256) for _ in range(60)]

    async def bench(context: Any) -> None:
        found, cycles = [], 0
        while len(found) < len(values):
            context.set(queue.o.ready, random.random() < get)
            *_, valid, ready, value = await context.tick().sample(
                queue.o.valid, queue.o.ready, queue.o.payload
            )
            cycles += 1
            if valid and ready:
                found.append(value)
        assert found == values
        assert put < 1 or get < 1 or cycles <= len(values) * (1 + apart) + 3

    simulate(queue, bench, _source(queue.i, values, put))


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_queue_depth() -> None:
    with pytest.raises(ValueError, match="depth must be a power of two from 2 on, not 6"):
        Queue(8, 6)
    gc.collect()  # while the warning about the unused component is ignored


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("short", [False, True], ids=["", "short"])
@pytest.mark.parametrize("depth", [2, 5, 8])
def test_ring_reads_groups_over_and_over(depth: int, short: bool, parts: int) -> None:
    """Groups of one to `depth` words, each read one to three times while later ones arrive."""
    ring: Any = Ring(8, depth, short=short, parts=parts)
    random = Random(4)
    groups = [[random.randrange(256) for _ in range(random.randint(1, depth))] for _ in range(20)]

    async def take(context: Any, group: list[int], first: bool, last: bool) -> None:
        for index, word in enumerate(group):
            if first:
                await context.tick().until(ring.available)
            ends = index == len(group) - 1
            controls = {"take": 1, "reserve": first, "release": last}
            controls |= {"rewind": ends and not last, "commit": ends and last}
            for name, value in controls.items():
                context.set(getattr(ring, name), value)
            await context.tick()
            for name in controls:
                context.set(getattr(ring, name), 0)
            await context.tick()
            assert context.get(ring.data) == word

    async def bench(context: Any) -> None:
        for group in groups:
            passes = random.randint(1, 3)
            for index in range(passes):
                await take(context, group, index == 0, index == passes - 1)

    size = 8 // parts
    words = [
        word >> place & ((1 << size) - 1) for group in groups for word in group for place in range(0, 8, size)
    ]
    simulate(ring, bench, _source(ring.words, words, 0.8))


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_ring_parts() -> None:
    with pytest.raises(ValueError, match="parts must divide the word's 8 bits, not 3"):
        Ring(8, 4, parts=3)
    gc.collect()


class Late(wiring.Component):
    """A value late by registers, and by a memory."""

    i: Signal
    slow: Signal
    held: Signal

    def __init__(self, cycles: int) -> None:
        self._cycles = cycles
        super().__init__({"i": In(9), "slow": Out(9), "held": Out(9)})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        m.d.comb += [
            self.slow.eq(delay(m, self.i, self._cycles, name="slow")),
            self.held.eq(delay_in_memory(m, self.i, self._cycles, name="held")),
        ]
        return m


@pytest.mark.parametrize("cycles", [2, 3, 4, 7, 16])
def test_a_memory_delays_as_registers_do(cycles: int) -> None:
    """From the start on, and through a reset: what was on its way comes out of both."""
    reset = Signal()
    late: Any = Late(cycles)
    random = Random(6)

    async def bench(context: Any) -> None:
        for cycle in range(120):
            context.set(late.i, random.randrange(512))
            context.set(reset, 40 <= cycle < 40 + cycles or cycle == 80)
            await context.tick()
            assert context.get(late.held) == context.get(late.slow), cycle

    simulate(ResetInserter(reset)(late), bench)
