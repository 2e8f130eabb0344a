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
    bench = _Bench(dut, memory or struct.pack(f"<{len(logits)}h", *logits), code, inputs)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in (bench.remember, bench.take, bench.write):
        simulator.add_testbench(process, background=True)
    simulator.add_testbench(bench.run)
    simulator.run()
    return bytes(bench.sent), bench.written


class _Bench:
    """What is around the protocol: the output memory, the transmitter, the input memory, host and machine."""

    def __init__(self, dut: Any, memory: bytes, code: int, inputs: bytes) -> None:
        self.dut, self.memory, self.code, self.inputs = dut, memory, code, inputs
        self.sent = bytearray()
        self.written: dict[int, int] = {}

    async def remember(self, context: Any) -> None:
        """The output memory: three cycles from address to data."""
        pipe = [0, 0]
        async for *_, address in context.tick().sample(self.dut.output_address):
            pipe.append(self.memory[address] if address < len(self.memory) else 0)
            context.set(self.dut.output_data, pipe.pop(0))

    async def take(self, context: Any) -> None:
        """The transmitter, never ready twice in a row."""
        tx = self.dut.tx
        while True:
            context.set(tx.ready, 0)
            await context.tick().repeat(2)
            context.set(tx.ready, 1)
            _, _, valid, payload = await context.tick().sample(tx.valid, tx.payload)
            if valid:
                self.sent.append(payload)

    async def write(self, context: Any) -> None:
        """The input memory."""
        dut = self.dut
        ports = dut.input_write, dut.input_address, dut.input_data
        async for *_, enable, address, data in context.tick().sample(*ports):
            if enable:
                self.written[address] = data

    async def run(self, context: Any) -> None:
        """The host sends a request; then the machine is done."""
        dut = self.dut
        for byte in (REQUEST, *self.inputs):
            context.set(dut.rx.payload, byte)
            context.set(dut.rx.valid, 1)
            await context.tick()
            context.set(dut.rx.valid, 0)
            await context.tick().repeat(20)
        assert context.get(dut.busy)
        context.set(dut.code, self.code)
        context.set(dut.cycles, CYCLES)
        context.set(dut.done, 1)
        await context.tick()
        context.set(dut.done, 0)
        await context.tick().until(~dut.busy)
        await context.tick().repeat(20)
