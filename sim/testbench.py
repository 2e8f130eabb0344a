# SPDX-License-Identifier: Apache-2.0
"""A cocotb bench of the whole accelerator: clock, reset, memory and host; and a test of recorded images.

Needs cocotb and NumPy only, and `memory_model.py` and `interface.py` beside it. The test `recorded_images`
takes its data from the file that HLSGEN_VECTORS names: an .npz with `image`, `inputs` [n, bytes] and
`outputs` [n, bytes].
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from .interface import COUNTERS, ControlBit, Header, Register
from .memory_model import AxiLiteMaster, AxiMemory, Regions, Timing

IMAGE_BASE, INPUT_BASE, OUTPUT_BASE, WORKSPACE_BASE = (index << 32 for index in range(1, 5))
PERIOD_NS = 10


@dataclass(frozen=True)
class Result:
    """What one image gave: status and error registers, output bytes, counters by name."""

    status: int
    error: int
    output: bytes
    counters: Mapping[str, int]


class Bench:
    """The accelerator with an external memory and a host.

    Parameters
    ----------
    dut
        The top.
    timing
        The memory's latency and stalls.
    """

    def __init__(self, dut: Any, timing: Timing | None = None) -> None:
        self.dut, self.memory = dut, Regions()
        dut.rst.value = 1
        self.host = AxiLiteMaster(dut)
        self.bus = AxiMemory(dut, self.memory, timing)

    async def start(self) -> None:
        """Start clock and memory, and reset the accelerator."""
        Clock(self.dut.clk, PERIOD_NS, "ns").start()
        cocotb.start_soon(self.bus.run())
        await self.reset()

    async def reset(self, cycles: int = 4) -> None:
        """Hold the reset for some cycles."""
        self.dut.rst.value = 1
        for _ in range(cycles):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await FallingEdge(self.dut.clk)

    def place(self, image: bytes, data: bytes, output_bytes: int) -> None:
        """Put an Image and an input into the memory, and make room for the output."""
        self.memory.add(IMAGE_BASE, image)
        self.memory.add(INPUT_BASE, data)
        self.memory.add(OUTPUT_BASE, b"\xee" * output_bytes, writable=True)
        workspace = int.from_bytes(image[4 * Header.WORKSPACE_BYTES :][:4], "little")
        if workspace:
            self.memory.add(WORKSPACE_BASE, b"\xdd" * workspace, writable=True)
        self.bus.written.clear()

    async def configure(self, image_bytes: int) -> None:
        """Write the addresses of what `place` put there."""
        await self.host.write64(Register.IMAGE_BASE, IMAGE_BASE)
        await self.host.write(Register.IMAGE_BYTES, image_bytes)
        await self.host.write64(Register.INPUT_BASE, INPUT_BASE)
        await self.host.write64(Register.OUTPUT_BASE, OUTPUT_BASE)
        if WORKSPACE_BASE in self.memory.regions:
            await self.host.write64(Register.WORKSPACE_BASE, WORKSPACE_BASE)

    async def wait(self, limit: int = 1_000_000) -> int:
        """Cycles until the interrupt; raises `TimeoutError` after `limit`."""
        for cycle in range(limit):
            if int(self.dut.irq.value):
                return cycle
            await FallingEdge(self.dut.clk)
        raise TimeoutError(f"no interrupt within {limit} cycles")

    async def result(self) -> Result:
        """Read the registers and the output, and clear done and error."""
        status, error = await self.host.read(Register.STATUS), await self.host.read(Register.ERROR)
        counters = {}
        for counter in COUNTERS:
            counters[counter.title] = await self.host.read(counter.register)
        await self.host.write(Register.CONTROL, ControlBit.CLEAR.mask)
        return Result(status, error, bytes(self.memory.regions[OUTPUT_BASE]), counters)

    async def run(
        self, image: bytes, data: bytes, output_bytes: int, limit: int = 1_000_000, task: int = 0
    ) -> Result:
        """Run one Image on one input."""
        self.place(image, data, output_bytes)
        await self.configure(len(image))
        await self.host.write(Register.TASK, task)
        await self.host.write(Register.CONTROL, ControlBit.START.mask)
        await self.wait(limit)
        return await self.result()


@cocotb.test(skip="HLSGEN_VECTORS" not in os.environ)
async def recorded_images(dut: Any) -> None:
    """Every recorded image gives its recorded output, with and without stalls."""
    with np.load(os.environ["HLSGEN_VECTORS"]) as vectors:
        image, inputs, outputs = (vectors[name] for name in ("image", "inputs", "outputs"))
    bench = Bench(dut)
    await bench.start()
    for index, (data, expected) in enumerate(zip(inputs, outputs, strict=True)):
        stall = 0.25 if index % 2 else 0.0
        bench.bus.set_timing(Timing(latency=16, stall=stall, seed=index + 1))
        result = await bench.run(image.tobytes(), data.tobytes(), expected.size, limit=100_000_000)
        assert result.error == 0, f"image {index}: error {result.error}"
        got = np.frombuffer(result.output, np.int16)
        wrong = np.flatnonzero(got != np.frombuffer(expected.tobytes(), np.int16))
        assert not wrong.size, f"image {index}: {wrong.size} of {got.size} values differ, first {wrong[0]}"
        dut._log.info(f"image {index}: equal, stall {stall}, {result.counters}")
