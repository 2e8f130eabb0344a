# SPDX-License-Identifier: Apache-2.0
"""The board's serial protocol in Amaranth's simulator, between stand-ins for host and machine."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from amaranth.sim import Simulator

from hlsgen.machine.format.interface import REQUEST
from hlsgen.rtl.board.frames import Frames

CYCLES = 0x89ABCDEF


def answer(
    logits: list[int],
    code: int = 0,
    inputs: bytes = b"\x11\xa5\x33",
    *,
    memory: bytes | None = None,
    runs: Mapping[str, int] | None = None,
) -> tuple[bytes, dict[int, int]]:
    """What a request gets, and what was written where, with a stand-in for memory and accelerator."""
    dut: Any = Frames(input_bytes=len(inputs), classes=len(logits), timeout=300, **(runs or {}))
    memory = memory or struct.pack(f"<{len(logits)}h", *logits)
    sent, written = bytearray(), {}

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
