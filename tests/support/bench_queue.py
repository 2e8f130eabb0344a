# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the queue of starts, on a top with the stub core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hlsgen.machine.format.interface import Error, Header, Register, StatusBit
from hlsgen.machine.time.depths import images_held
from hlsgen.sim.memory_model import Timing
from hlsgen.sim.testbench import Bench
from support.bench_outside import ABORT, ACKNOWLEDGE, CLEAR, START, bench, case, good, patched
from support.stub_core import StubCase

APART = 1 << 20
DONE, ERROR, BUSY = StatusBit.DONE.mask, StatusBit.ERROR.mask, StatusBit.BUSY.mask


@dataclass(frozen=True)
class Entry:
    """One queued image: its own Image, input and output, at addresses of its own."""

    example: StubCase
    blob: bytes
    base: int

    @property
    def input(self) -> int:
        return self.base + APART

    @property
    def output(self) -> int:
        return self.base + 2 * APART

    def written(self, b: Bench) -> bytes:
        return bytes(b.memory.regions[self.output])

    def right(self, b: Bench) -> bool:
        return self.written(b) == self.example.output


def entries(b: Bench, count: int, seed: int = 1, words: Sequence[int] = (20,)) -> list[Entry]:
    """Images that lie in memory, each at addresses of its own."""
    b.memory.regions.clear()
    b.bus.written.clear()
    found = []
    for index in range(count):
        example = case(seed + index, words[index % len(words)])
        if index % 2:  # words that nothing takes, some of them still under way at the end
            image = example.image
            image = replace(
                image, weights=image.weights + bytes(64 * 12), addends=image.addends + bytes(64 * 9)
            )
            example = replace(example, image=image)
        found.append(Entry(example, example.blob, (index + 1) << 32))
        place(b, found[-1])
    return found


def place(b: Bench, entry: Entry) -> None:
    b.memory.add(entry.base, entry.blob)
    b.memory.add(entry.input, entry.example.data)
    b.memory.add(entry.output, b"\xee" * len(entry.example.output), writable=True)


async def put(b: Bench, entry: Entry, image: int | None = None) -> None:
    """Write the settings of an image, and its start."""
    await b.host.write64(Register.IMAGE_BASE, entry.base if image is None else image)
    await b.host.write(Register.IMAGE_BYTES, len(entry.blob))
    await b.host.write64(Register.INPUT_BASE, entry.input)
    await b.host.write64(Register.OUTPUT_BASE, entry.output)
    await b.host.write(Register.CONTROL, START)


async def status(b: Bench) -> int:
    return await b.host.read(Register.STATUS)


async def completed(b: Bench) -> int:
    return await b.host.read(Register.COMPLETED)


async def drain(b: Bench, limit: int = 20_000) -> int:
    """Acknowledge until nothing runs and nothing waits; the status then."""
    for _ in range(limit // 100):
        found = await status(b)
        if not found & BUSY:
            return found
        await b.host.write(Register.CONTROL, ACKNOWLEDGE)
        await ClockCycles(b.dut.clk, 100)
    raise TimeoutError("the queue does not get empty")


@cocotb.test()
async def queued(dut: Any) -> None:
    """More images than the queue holds, sent as there is room; each output is there when it is counted."""
    b = await bench(dut)
    for count, timing in ((8, Timing(latency=64)), (4, Timing(latency=1)), (5, Timing(stall=0.4, seed=5))):
        b.bus.set_timing(timing)
        todo = entries(b, count, 3, (20, 3, 30))
        before, sent, seen = await completed(b), 0, 0
        while seen < len(todo):
            if sent < len(todo) and await b.host.read(Register.ROOM):
                await put(b, todo[sent])
                sent += 1
            seen = await completed(b) - before
            assert all(entry.right(b) for entry in todo[:seen])
        assert await status(b) & ~BUSY == DONE
        ends = {entry.output + at for entry in todo for at in range(len(entry.example.output))}
        assert b.bus.written == ends
        await b.host.write(Register.CONTROL, CLEAR)
        await good(b)


@cocotb.test()
async def a_full_queue(dut: Any) -> None:
    """`room` says how many starts are taken; one more is ignored and shown, and nothing is lost."""
    b = await bench(dut, Timing(latency=200))
    todo, sent = entries(b, images_held() + 1), 0
    while await b.host.read(Register.ROOM):
        await put(b, todo[sent])
        sent += 1
    assert sent in (images_held() - 1, images_held())  # the last one, if the first runs already
    await put(b, todo[sent])
    assert await status(b) == BUSY | StatusBit.IGNORED.mask
    assert await drain(b) & ~DONE == StatusBit.IGNORED.mask
    assert [entry.right(b) for entry in todo] == [index < sent for index in range(len(todo))]
    assert await completed(b) == sent
    await b.host.write(Register.CONTROL, CLEAR)
    await good(b)


@cocotb.test()
async def starts_at_every_moment(dut: Any) -> None:
    """The second start comes at any time around the first image's end: early, too late to go ahead, after."""
    b = await bench(dut, Timing(latency=30))
    alone = await good(b)
    for delay in (0, *range(alone - 220, alone + 30, 27)):
        todo, before = entries(b, 2, delay + 1000), await completed(b)
        await put(b, todo[0])
        await ClockCycles(dut.clk, max(1, delay - 60))
        await put(b, todo[1])
        assert await drain(b) & ERROR == 0
        assert [entry.right(b) for entry in todo] == [True, True], delay
        assert await completed(b) - before == 2
        await b.host.write(Register.CONTROL, CLEAR)
    await good(b)


async def fails(b: Bench, code: int, todo: list[Entry], right: int, *, image: int | None = None) -> None:
    """Entry number `right` ends with the code; those before it are right, those behind it never begin."""
    before = await completed(b)
    for index, entry in enumerate(todo):
        await put(b, entry, image if index == right else None)
    found = await drain(b)
    assert (found & ERROR, await b.host.read(Register.ERROR)) == (ERROR, code), (code, right)
    assert await completed(b) - before == right
    assert all(entry.right(b) for entry in todo[:right])
    assert all(set(entry.written(b)) == {0xEE} for entry in todo[right + 1 :])
    await put(b, todo[0])  # an error must be cleared first
    assert await status(b) & (BUSY | StatusBit.IGNORED.mask) == StatusBit.IGNORED.mask
    await b.host.write(Register.CONTROL, ACKNOWLEDGE)
    assert await b.host.read(Register.ERROR) == code
    await b.host.write(Register.CONTROL, CLEAR)
    assert await b.host.read(Register.ROOM) > 0
    await good(b)


@cocotb.test()
async def errors_of_the_next_image(dut: Any) -> None:
    """Whatever the next image's header or addresses have wrong, the image before it is right."""
    b = await bench(dut, Timing(latency=40))
    for code, word, value in (
        (Error.MAGIC, Header.MAGIC, 1),
        (Error.SECTION, Header.COMMANDS, 0),
        (Error.SECTION, Header.WEIGHTS, 0),
    ):
        todo = entries(b, 4)
        todo[2] = Entry(todo[2].example, patched(todo[2].blob, word, value), todo[2].base)
        place(b, todo[2])
        await fails(b, code, todo, 2)
    await fails(b, Error.ALIGNMENT, entries(b, 3), 1, image=(2 << 32) + 4)
    await fails(b, Error.READ, entries(b, 3), 1, image=0x77_0000_0000)  # nothing answers there


@cocotb.test()
async def read_errors_of_the_next_image(dut: Any) -> None:
    """A read that fails while the image before is still being written belongs to the next one."""
    b = await bench(dut)
    for word in (0, Header.PROGRAM, Header.WEIGHTS):
        b.bus.set_timing(Timing(latency=300))
        todo = entries(b, 3)
        at = int.from_bytes(todo[1].blob[4 * word :][:4], "little") if word else 0
        b.bus.read_fails = lambda beat, at=at: beat == (2 << 32) + at
        before = await completed(b)
        for entry in todo:
            await put(b, entry)
        while todo[0].output + len(todo[0].example.output) - 1 not in b.bus.written:
            await ClockCycles(dut.clk, 1)
        b.bus.set_timing(
            Timing(latency=1)
        )  # of what is asked for from now on: the last write's answer is slow
        await drain(b)
        assert await b.host.read(Register.ERROR) == Error.READ
        assert (await completed(b) - before, todo[0].right(b)) == (1, True)
        b.bus.read_fails = lambda beat: False  # noqa: ARG005
        await b.host.write(Register.CONTROL, CLEAR)
        await good(b)


@cocotb.test()
async def write_errors_while_the_next_begins(dut: Any) -> None:
    """The last write fails once the next image's reads have begun: no image is counted, and none follows."""
    b = await bench(dut, Timing(latency=60))
    todo, before = entries(b, 3), await completed(b)
    last = todo[0].output + len(todo[0].example.output) - b.bus.bus_bytes
    b.bus.write_fails = lambda beat: beat == last
    for entry in todo:
        await put(b, entry)
    await drain(b)
    assert (await b.host.read(Register.ERROR), await completed(b) - before) == (Error.WRITE, 0)
    assert set(todo[1].written(b)) == {0xEE}
    b.bus.write_fails = lambda beat: False  # noqa: ARG005
    await b.host.write(Register.CONTROL, CLEAR)
    await good(b)


@cocotb.test()
async def abort_and_reset(dut: Any) -> None:
    """At random moments of a queue: what was counted is right, what waited is forgotten."""
    b, random = await bench(dut, Timing(latency=50, stall=0.1)), Random(6)
    alone = await good(b)
    for turn in range(6):
        todo, before = entries(b, 4, words=(12,)), await completed(b)
        for entry in todo:
            await put(b, entry)
        await ClockCycles(dut.clk, random.randrange(1, 2 * alone))
        if turn % 3 == 2:
            await b.reset()
            assert (await status(b), await completed(b)) == (0, 0)
        else:
            await b.host.write(Register.CONTROL, ABORT)
            assert await drain(b) & ERROR
            assert await b.host.read(Register.ERROR) == Error.ABORTED
            seen = await completed(b) - before
            assert seen < len(todo)
            assert all(entry.right(b) for entry in todo[:seen])
            assert all(set(entry.written(b)) == {0xEE} for entry in todo[seen + 2 :])
            await b.host.write(Register.CONTROL, CLEAR)
        await good(b)


@cocotb.test()
async def limits_and_watchdogs_of_each(dut: Any) -> None:
    """Limit and watchdog count anew for each image, and each has its own."""
    b = await bench(dut, Timing(latency=20))
    alone = await good(b)
    await b.host.write(Register.LIMIT, alone + 50)
    todo = entries(b, 4, 7)
    for entry in todo:
        await put(b, entry)
    assert await drain(b) & ERROR == 0
    assert all(entry.right(b) for entry in todo)
    todo, before = entries(b, 3, 7), await completed(b)
    await put(b, todo[0])
    await b.host.write(Register.LIMIT, alone // 2)
    await put(b, todo[1])
    await b.host.write(Register.LIMIT, 0)
    await put(b, todo[2])
    assert await drain(b) & ERROR
    assert (await b.host.read(Register.ERROR), await completed(b) - before) == (Error.LIMIT, 1)
    await b.host.write(Register.CONTROL, CLEAR)
    await good(b)
