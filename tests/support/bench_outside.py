# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of everything around the core, on a top with the stub core."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hlsgen.machine.format import image
from hlsgen.machine.format.interface import REASONS, ControlBit, Error, Header, Register, StatusBit
from hlsgen.machine.format.limits import WATCHDOG_CYCLES
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.sim import testbench as tb
from hlsgen.sim.memory_model import Timing
from hlsgen.sim.testbench import Bench
from support.stub_core import StubCase, stub_case

START, ABORT, CLEAR, ACKNOWLEDGE = (bit.mask for bit in ControlBit)


def parameters() -> MachineParameters:
    rows, columns, depth, bus = map(int, os.environ["STUB_SHAPE"].split(","))
    return MachineParameters(rows=rows, columns=columns, depth=depth, bus_bytes=bus)


async def bench(dut: Any, timing: Timing | None = None) -> Bench:
    result = Bench(dut, timing)
    await result.start()
    return result


def case(seed: int = 1, words: int = 20, *, hang: bool = False) -> StubCase:
    return stub_case(parameters(), words, seed, hang=hang)


async def good(b: Bench, seed: int = 7) -> int:
    """The next image must be right, and nothing outside the output may be written; its cycles."""
    example = case(seed)
    result = await b.run(example.blob, example.data, len(example.output))
    assert (result.status, result.error) == (StatusBit.DONE.mask, 0)
    assert result.output == example.output
    counts = [result.counters[reason.title] for reason in REASONS]
    assert 0 < sum(counts) < result.counters["cycles"]
    end = tb.OUTPUT_BASE + len(example.output)
    assert b.bus.written == set(range(tb.OUTPUT_BASE, end))
    assert b.bus.idle
    return result.counters["cycles"]


async def bad(b: Bench, blob: bytes, code: int, example: StubCase, limit: int = 2000, size: int = 0) -> None:
    """An image that must end with an error code within a bounded number of cycles."""
    b.place(blob, example.data, len(example.output))
    await b.configure(size or len(blob))
    await b.host.write(Register.CONTROL, START)
    await b.wait(limit)
    result = await b.result()
    assert (result.status, result.error) == (StatusBit.ERROR.mask, code), (result.status, result.error, code)


def patched(blob: bytes, word: int, value: int) -> bytes:
    """A header word replaced."""
    return blob[: 4 * word] + struct.pack("<I", value) + blob[4 * word + 4 :]


@cocotb.test()
async def echoes(dut: Any) -> None:
    """Images come out right with every kind of timing, back to back."""
    b = await bench(dut)
    for seed, timing in enumerate(
        (
            Timing(latency=1),
            Timing(latency=90),
            Timing(latency=3, stall=0.5, seed=2),
            Timing(latency=40, stall=0.2, seed=3, outstanding=2),
        )
    ):
        b.bus.set_timing(timing)
        await good(b, seed)


@cocotb.test()
async def sizes(dut: Any) -> None:
    """Sections of every length around a burst's."""
    b = await bench(dut, Timing(latency=7, stall=0.1))
    for words in (2, 3, 5, 16, 33, 64, 65):
        example = case(words, words)
        result = await b.run(example.blob, example.data, len(example.output))
        assert (result.error, result.output) == (0, example.output), words


@cocotb.test()
async def header_errors(dut: Any) -> None:
    """Every malformed header ends with its own code, before anything but the header is read."""
    b, example = await bench(dut), case()
    blob, total = example.blob, len(example.blob)
    for word, value, code in (
        (Header.MAGIC, 0x12345678, Error.MAGIC),
        (Header.VERSION, image.VERSION + 1, Error.VERSION),
        (Header.VERSION, image.VERSION - 1, Error.VERSION),
        (Header.BUILD_ID, example.image.build_id ^ 1, Error.BUILD),
        (Header.TOTAL, total + 1, Error.TRUNCATED),
        (Header.TOTAL, 0, Error.TRUNCATED),
        (Header.PROGRAM, 0, Error.SECTION),
        (Header.PROGRAM, 64 + 4, Error.SECTION),
        (Header.COMMANDS, 0, Error.SECTION),
        (Header.COMMANDS, 0xFFFFFFFF, Error.SECTION),
        (Header.COMMANDS, total // 128 + 1, Error.SECTION),
        (Header.CONSTANTS, total, Error.SECTION),
        (Header.CONSTANTS_BYTES, 0xFFFFFFFF, Error.SECTION),
        (Header.WEIGHTS, 0xFFFFFFC0, Error.SECTION),
        (Header.ADDENDS, total - 64 + 1, Error.SECTION),
        (Header.ADDENDS_BYTES, total, Error.SECTION),
    ):
        before = b.bus.read_beats
        await bad(b, patched(blob, word, value), code, example, limit=300)
        assert b.bus.read_beats - before == 64 // b.bus.bus_bytes
        assert not b.bus.written
    await bad(b, blob, Error.TRUNCATED, example, size=len(blob) - 1)
    await bad(b, blob, Error.TRUNCATED, example, size=63)
    await good(b)


@cocotb.test()
async def alignment(dut: Any) -> None:
    """Base addresses must be multiples of 64."""
    b, example = await bench(dut), case()
    for register, base in (
        (Register.IMAGE_BASE, tb.IMAGE_BASE + 4),
        (Register.INPUT_BASE, tb.INPUT_BASE + 1),
        (Register.OUTPUT_BASE, tb.OUTPUT_BASE + 32),
    ):
        b.place(example.blob, example.data, len(example.output))
        await b.configure(len(example.blob))
        await b.host.write64(register, base)
        await b.host.write(Register.CONTROL, START)
        await b.wait(100)
        assert (await b.result()).error == Error.ALIGNMENT
        assert b.bus.read_beats == 0
    await good(b)


@cocotb.test()
async def window(dut: Any) -> None:
    """Every range must lie in the window, to the byte; outside of it nothing is read or written."""
    b, example = await bench(dut), case()
    base, span = 0x5_0000_0000, 0x40000
    sizes = {"image": len(example.blob), "input": len(example.data), "output": len(example.output)}
    registers = {"image": Register.IMAGE_BASE, "input": Register.INPUT_BASE, "output": Register.OUTPUT_BASE}
    inside = {"image": base, "input": base + 0x10000, "output": base + 0x20000}
    for moved in ("none", *sizes):
        for place in ("below", "end", "beyond", "far"):
            where = dict(inside)
            if moved != "none":
                fits = base + span - sizes[moved]
                where[moved] = {
                    "below": base - 64, "end": fits, "beyond": fits + 64, "far": base + (1 << 32)
                }[place]  # fmt: skip
            legal = moved == "none" or place == "end"
            b.memory.regions.clear()
            b.memory.add(where["image"], example.blob)
            b.memory.add(where["input"], example.data)
            b.memory.add(where["output"], bytes(len(example.output)), writable=True)
            b.bus.written.clear()
            for name, register in registers.items():
                await b.host.write64(register, where[name])
            await b.host.write(Register.IMAGE_BYTES, len(example.blob))
            await b.host.write64(Register.WINDOW_BASE, base)
            await b.host.write(Register.WINDOW_BYTES, span)
            await b.host.write(Register.CONTROL, START)
            await b.wait()
            assert await b.host.read(Register.ERROR) == (0 if legal else Error.WINDOW), (moved, place)
            await b.host.write(Register.CONTROL, CLEAR)
            output = b.memory.regions[where["output"]]
            assert output == (example.output if legal else bytes(len(output)))
            assert legal or not b.bus.written
    await b.host.write(Register.WINDOW_BYTES, 0)
    await good(b)


@cocotb.test()
async def read_errors(dut: Any) -> None:
    """A failing read ends the image wherever it comes, and the next image is right."""
    b, example = await bench(dut, Timing(latency=9, stall=0.1)), case()
    sections = struct.unpack_from("<16I", example.blob)
    inside = min(64 * 5, (sections[Header.WEIGHTS_BYTES] - 1) // 64 * 64)
    middle = tb.IMAGE_BASE + sections[Header.WEIGHTS] + inside
    for address in (
        tb.IMAGE_BASE,
        *(tb.IMAGE_BASE + sections[word] for word, _ in image.SECTIONS),
        middle,
        tb.INPUT_BASE,
    ):
        b.bus.read_fails = lambda beat, address=address: beat == address
        await bad(b, example.blob, Error.READ, example)
        b.bus.read_fails = lambda beat: False  # noqa: ARG005
        await good(b)


@cocotb.test()
async def write_errors(dut: Any) -> None:
    """A failing write ends the image, the last one included."""
    b, example = await bench(dut, Timing(latency=5)), case()
    for address in (tb.OUTPUT_BASE, tb.OUTPUT_BASE + len(example.output) - b.bus.bus_bytes):
        b.bus.write_fails = lambda beat, address=address: beat == address
        await bad(b, example.blob, Error.WRITE, example, limit=10_000)
        b.bus.write_fails = lambda beat: False  # noqa: ARG005
        await good(b)


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset at random moments; the next image is right."""
    b, example, random = await bench(dut, Timing(latency=6, stall=0.1)), case(), Random(3)
    cycles = await good(b)
    for _ in range(6):
        b.place(example.blob, example.data, len(example.output))
        await b.configure(len(example.blob))
        await b.host.write(Register.CONTROL, START)
        await ClockCycles(dut.clk, random.randrange(5, cycles))
        await b.reset()
        assert await b.host.read(Register.STATUS) == 0
        await good(b)


@cocotb.test()
async def abort(dut: Any) -> None:
    """Abort at random moments ends with its code within a bounded time, and late data harm nobody."""
    b, example, random = await bench(dut, Timing(latency=50, stall=0.1)), case(), Random(4)
    cycles = await good(b)
    for _ in range(8):
        b.place(example.blob, example.data, len(example.output))
        await b.configure(len(example.blob))
        await b.host.write(Register.CONTROL, START)
        await ClockCycles(dut.clk, random.randrange(1, cycles * 3 // 4))
        await b.host.write(Register.CONTROL, ABORT)
        await b.wait(2000)
        assert (await b.result()).error == Error.ABORTED
        assert b.bus.idle
        end = tb.OUTPUT_BASE + len(example.output)
        assert all(tb.OUTPUT_BASE <= address < end for address in b.bus.written)
        await good(b)
    await b.host.write(Register.CONTROL, ABORT)
    await b.host.write(Register.CONTROL, ABORT | START)
    assert await b.host.read(Register.STATUS) == 0


@cocotb.test()
async def start_while_busy(dut: Any) -> None:
    """Starts beyond the queue, and settings for the next image, disturb nothing."""
    b, example = await bench(dut, Timing(latency=20)), case()
    b.place(example.blob, example.data, len(example.output))
    await b.configure(len(example.blob))
    await b.host.write(Register.CONTROL, START)
    for register in (Register.IMAGE_BASE, Register.INPUT_BASE, Register.OUTPUT_BASE):
        await b.host.write64(register, 0xDEAD0000)
    await b.host.write(Register.IMAGE_BYTES, 1)
    while await b.host.read(Register.ROOM):
        assert await b.host.read(Register.STATUS) == StatusBit.BUSY.mask
        await b.host.write(Register.CONTROL, START)
    await b.host.write(Register.CONTROL, START)
    assert await b.host.read(Register.STATUS) == StatusBit.BUSY.mask | StatusBit.IGNORED.mask
    before = await b.host.read(Register.COMPLETED)
    await b.wait()
    assert await b.host.read(Register.COMPLETED) == before + 1
    assert bytes(b.memory.regions[tb.OUTPUT_BASE]) == example.output
    await b.host.write(Register.CONTROL, ACKNOWLEDGE)
    await b.wait()
    result = await b.result()
    status = StatusBit.ERROR.mask | StatusBit.IGNORED.mask
    assert (result.status, result.error) == (status, Error.TRUNCATED)
    assert await b.host.read(Register.STATUS) == 0
    await good(b)


@cocotb.test()
async def watchdog(dut: Any) -> None:
    """A core that hangs is stopped after as many cycles as the register says."""
    b, example = await bench(dut), case(hang=True)
    await b.host.write(Register.WATCHDOG, 500)
    await bad(b, example.blob, Error.WATCHDOG, example, limit=2000)
    await good(b)


@cocotb.test()
async def dead_memory(dut: Any) -> None:
    """A memory that stops answering ends the image; what it sends when it wakes up belongs to nobody."""
    b, example, random = await bench(dut, Timing(latency=8)), case(), Random(5)
    await b.host.write(Register.WATCHDOG, 200)
    cycles = await good(b)
    for _ in range(6):
        b.place(example.blob, example.data, len(example.output))
        await b.configure(len(example.blob))
        await b.host.write(Register.CONTROL, START)
        await ClockCycles(dut.clk, random.randrange(20, cycles * 3 // 4))
        b.bus.frozen = True
        await b.wait(1000)
        assert (await b.result()).error == Error.WATCHDOG
        b.bus.frozen = False
        b.bus.written.clear()
        await good(b)


@cocotb.test()
async def registers(dut: Any) -> None:
    """Settings read back, with byte strobes; the rest is read-only or reads zero."""
    b, p = await bench(dut), parameters()
    assert await b.host.read(Register.WATCHDOG) == WATCHDOG_CYCLES
    assert await b.host.read(Register.BUILD_ID) == p.build_id
    shape = p.rows | p.columns << 8 | p.depth << 16 | p.bus_bytes << 24
    assert await b.host.read(Register.SHAPE) == shape
    assert await b.host.read(Register.LIMIT) == 0
    settings = range(Register.TASK, Register.LIMIT + 4, 4)
    for address in settings:
        await b.host.write(address, 0x01010101 * (address + 1))
    for address in settings:
        assert await b.host.read(address) == 0x01010101 * (address + 1)
    await b.host.write(Register.IMAGE_BASE, 0xAABBCCDD, strobes=0b0101)
    assert await b.host.read(Register.IMAGE_BASE) == 0x11BB11DD
    for address in {Register.STATUS, Register.ERROR, *range(Register.CYCLES, 0x100, 4)} - {Register.ROOM}:
        await b.host.write(address, 0xFFFFFFFF)
        assert await b.host.read(address) == 0
    assert await b.host.read(Register.CONTROL) == 0
    await b.host.write(Register.CONTROL, START, strobes=0b1110)
    assert await b.host.read(Register.STATUS) == 0


@cocotb.test()
async def output_limit(dut: Any) -> None:
    """A program that puts out more than its header says writes no byte more."""
    b, example = await bench(dut), case()
    blob = replace(example.image, output_bytes=100).pack()
    b.place(blob, example.data, len(example.output))
    await b.configure(len(blob))
    await b.host.write(Register.CONTROL, START)
    await b.wait()
    assert (await b.result()).output[:128] == example.output[:128]
    assert b.bus.written == set(range(tb.OUTPUT_BASE, tb.OUTPUT_BASE + 128))
    await good(b)
