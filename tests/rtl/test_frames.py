# SPDX-License-Identifier: Apache-2.0
"""The serial protocol alone: the class of many logits, ties, signs, and the accelerator's codes."""

from __future__ import annotations

import gc
import struct
from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hlsgen.rtl.frames import ANSWER, REQUEST, Frames

CYCLES = 0x89ABCDEF


def answer(logits: list[int], code: int = 0, inputs: bytes = b"\x11\xa5\x33") -> tuple[bytes, dict[int, int]]:
    """What a request gets, and what was written where, with a stand-in for memory and accelerator."""
    dut: Any = Frames(input_bytes=len(inputs), classes=len(logits), timeout=300)
    memory, sent, written = struct.pack(f"<{len(logits)}h", *logits), bytearray(), {}

    async def remember(context: Any) -> None:
        """The output memory: three cycles from address to data."""
        pipe = [0, 0]
        async for *_, address in context.tick().sample(dut.output_address):
            pipe.append(memory[address] if address < len(memory) else 0)
            context.set(dut.output_data, pipe.pop(0))

    async def take(context: Any) -> None:
        """The transmitter, never ready twice in a row."""
        while True:
            context.set(dut.tx.ready, 0)
            await context.tick().repeat(2)
            context.set(dut.tx.ready, 1)
            _, _, valid, payload = await context.tick().sample(dut.tx.valid, dut.tx.payload)
            if valid:
                sent.append(payload)

    async def write(context: Any) -> None:
        async for *_, enable, address, data in context.tick().sample(
            dut.input_write, dut.input_address, dut.input_data
        ):
            if enable:
                written[address] = data

    async def run(context: Any) -> None:
        for byte in (REQUEST, *inputs):
            context.set(dut.rx.payload, byte)
            context.set(dut.rx.valid, 1)
            await context.tick()
            context.set(dut.rx.valid, 0)
            await context.tick().repeat(20)
        assert context.get(dut.busy)
        context.set(dut.code, code)
        context.set(dut.cycles, CYCLES)
        context.set(dut.done, 1)
        await context.tick()
        context.set(dut.done, 0)
        await context.tick().until(~dut.busy)
        await context.tick().repeat(20)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in (remember, take, write):
        simulator.add_testbench(bench, background=True)
    simulator.add_testbench(run)
    simulator.run()
    return bytes(sent), written


@pytest.mark.parametrize(
    "logits",
    [
        [0],
        [-32768],
        [-32768, -32768],
        [5, 5, 5],
        [-3, -1, -1, -2],
        [32767, -32768, 32767],
        [-1, 0, 256, 255, 256],
        Random(4).sample(range(-32768, 32768), 300),
    ],
    ids=lambda logits: f"{logits[:3]}",
)
def test_the_class_is_the_first_largest_logit(logits: list[int]) -> None:
    sent, written = answer(logits)
    label = logits.index(max(logits))
    assert sent == bytes([ANSWER, 0]) + struct.pack(f"<H{len(logits)}hI", label, *logits, CYCLES)
    assert written == {0: 0x11, 1: 0xA5, 2: 0x33}


def test_an_error_code_ends_the_answer() -> None:
    sent, _ = answer([1, 2], code=10)
    assert sent == bytes([ANSWER, 10])


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_sizes_are_checked() -> None:
    good = {"input_bytes": 1, "classes": 1, "timeout": 1}
    for name in good:
        with pytest.raises(ValueError, match=f"{name} must be positive, not 0"):
            Frames(**{**good, name: 0})
    with pytest.raises(ValueError, match="classes must be at most 65536, not 65537"):
        Frames(**{**good, "classes": 65537})
    gc.collect()
