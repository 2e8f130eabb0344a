# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the board top at its pins: a host that speaks the serial protocol."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Edge, FallingEdge, First, Timer

from hlsgen.machine.format.interface import ANSWER, REQUEST, FrameError

CLOCK_NS = 40
NOT_AN_IMAGE = 1
"""The accelerator's code for an Image without its magic number."""


@dataclass(frozen=True)
class Case:
    """What the test prepared: requests' bytes, golden logits, cycles per bit, time limit in bits.

    clock: the board's clock pin. lights: the port's name, the number of lights, whether a 0 lights them.
    """

    inputs: list[bytes]
    logits: np.ndarray
    divisor: int
    timeout_bits: int
    clock: str
    lights: tuple[str, int, bool]

    @property
    def bit(self) -> int:
        return self.divisor * CLOCK_NS


def case() -> Case:
    with np.load(os.environ["BOARD_CASE"]) as found:
        inputs = [row.tobytes() for row in found["inputs"]]
        divisor, timeout_bits, count = (int(found[name]) for name in ("divisor", "timeout_bits", "lights"))
        lights = str(found["light_port"]), count, bool(found["low"])
        return Case(inputs, found["logits"], divisor, timeout_bits, str(found["clock"]), lights)


class Host:
    """Serial port of the host, a bit at a time."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.case = dut, case()
        dut.uart_rx.value = 1
        self.clock = getattr(dut, self.case.clock)
        Clock(self.clock, CLOCK_NS, "ns").start()

    async def start(self) -> None:
        """Wait for the end of the board's reset."""
        await ClockCycles(self.clock, 200)
        assert int(self.dut.uart_tx.value) == 1

    async def send(self, data: bytes, *, stop: int = 1) -> None:
        bit = self.case.bit
        for byte in data:
            for level in (0, *(byte >> place & 1 for place in range(8)), stop):
                self.dut.uart_rx.value = level
                await Timer(bit, "ns")
            self.dut.uart_rx.value = 1
        if not stop:
            await Timer(2 * bit, "ns")

    async def byte(self, limit_bits: int) -> int:
        """The next byte; raises `TimeoutError` when none begins in time."""
        bit, tx = self.case.bit, self.dut.uart_tx
        if int(tx.value):
            limit = Timer(limit_bits * bit, "ns")
            if await First(FallingEdge(tx), limit) is limit:
                raise TimeoutError(f"no answer within {limit_bits} bits")
        await Timer(bit + bit // 2, "ns")
        value = 0
        for place in range(8):
            value |= int(tx.value) << place
            await Timer(bit, "ns")
        assert int(tx.value) == 1, "no stop bit"
        return value

    async def bytes(self, count: int, limit_bits: int = 20_000) -> bytes:
        return bytes([await self.byte(limit_bits) for _ in range(count)])

    async def expect_answer(self, index: int, limit_bits: int = 20_000) -> int:
        """The answer must equal golden; the cycles that it tells."""
        logits = self.case.logits[index]
        head = await self.bytes(4, limit_bits)
        assert head[:2] == bytes([ANSWER, 0]), head
        got = np.frombuffer(await self.bytes(2 * logits.size), "<i2")
        assert got.tolist() == logits.tolist()
        assert struct.unpack("<H", head[2:]) == (int(np.argmax(logits)),)
        (cycles,) = struct.unpack("<I", await self.bytes(4))
        return cycles

    async def expect_report(self, code: int) -> None:
        """A report of an error must come, and nothing after it."""
        assert await self.bytes(2) == bytes([ANSWER, code])
        await self.expect_silence()

    async def expect_silence(self) -> None:
        limit = Timer(2 * self.case.timeout_bits * self.case.bit, "ns")
        assert await First(Edge(self.dut.uart_tx), limit) is limit, "the board must be silent"

    def request(self, index: int) -> bytes:
        return bytes([REQUEST]) + self.case.inputs[index]

    def label(self, index: int) -> int:
        """Of an image's class the low bits that there are lights for."""
        return int(np.argmax(self.case.logits[index])) & ((1 << self.case.lights[1] - 4) - 1)

    @property
    def lights(self) -> tuple[int, int, int, int]:
        """busy, complete, error, low bits of the class."""
        port, count, low = self.case.lights
        value = int(getattr(self.dut, port).value) ^ (low * ((1 << count) - 1))
        return value >> 1 & 1, value >> 2 & 1, value >> 3 & 1, value >> 4


async def host(dut: Any) -> Host:
    result = Host(dut)
    await result.start()
    return result


@cocotb.test()
async def images(dut: Any) -> None:
    """All images, one after another: classes and logits equal golden, every run takes the same time."""
    h = await host(dut)
    seen = set()
    for index in range(len(h.case.inputs)):
        await h.send(h.request(index))
        await ClockCycles(h.clock, 8)
        assert h.lights[0] == 1
        seen.add(await h.expect_answer(index))
        await ClockCycles(h.clock, 4 * h.case.divisor)
        assert h.lights == (0, 1, 0, h.label(index))
    assert len(seen) == 1
    assert min(seen) > 100
    await h.expect_silence()


@cocotb.test()
async def truncated(dut: Any) -> None:
    """A request that ends early is reported after the time limit; the next one is answered."""
    h = await host(dut)
    for size in (1, len(h.request(0)) - 1):
        await h.send(h.request(0)[:size])
        await h.expect_report(FrameError.TIMEOUT)
        assert h.lights[:3] == (0, 0, 1)
        await h.send(h.request(1))
        await h.expect_answer(1)
        await ClockCycles(h.clock, 4 * h.case.divisor)
        assert h.lights[:3] == (0, 1, 0)


@cocotb.test()
async def damaged(dut: Any) -> None:
    """On a board whose Image is none, the accelerator's own error comes back every time."""
    h = await host(dut)
    for index in (0, 1):
        await h.send(h.request(index))
        await h.expect_report(NOT_AN_IMAGE)
        assert h.lights == (0, 0, 1, 0)


@cocotb.test()
async def slow(dut: Any) -> None:
    """Pauses below the time limit do no harm."""
    h = await host(dut)
    for byte in h.request(0):
        await h.send(bytes([byte]))
        await Timer((h.case.timeout_bits - 15) * h.case.bit, "ns")
    await h.expect_answer(0)


@cocotb.test()
async def foreign(dut: Any) -> None:
    """Bytes that begin no request, and a byte without its stop bit, are reported; then all is well."""
    h = await host(dut)
    await h.send(b"\x00" + h.request(0))
    await h.expect_report(FrameError.NO_REQUEST)
    await h.send(h.request(0)[:3])
    await h.send(b"\x00", stop=0)
    await h.expect_report(FrameError.FRAMING)
    await h.send(b"\x00", stop=0)
    await h.expect_report(FrameError.FRAMING)
    await h.send(h.request(1))
    await h.expect_answer(1)


@cocotb.test()
async def hasty(dut: Any) -> None:
    """Bytes during a run are lost and reported after its answer, which is right."""
    h = await host(dut)
    await h.send(h.request(0))
    sending = cocotb.start_soon(h.send(h.request(1)))
    await h.expect_answer(0)
    await sending
    await h.expect_report(FrameError.OVERRUN)
    await h.send(h.request(1))
    await h.expect_answer(1)
