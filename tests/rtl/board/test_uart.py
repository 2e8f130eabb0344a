# SPDX-License-Identifier: Apache-2.0
"""The serial port: both halves against each other and against a line made in the test."""

from __future__ import annotations

import gc
from random import Random
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from hlsgen.rtl.board.uart import UartReceiver, UartTransmitter


class Loop(wiring.Component):
    """A transmitter with one divisor, whose line a receiver with another one hears."""

    def __init__(self, sender: int, receiver: int) -> None:
        super().__init__({})
        self.sender, self.receiver = UartTransmitter(sender), UartReceiver(receiver)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.submodules.sender, m.submodules.receiver = self.sender, self.receiver
        m.d.comb += self.receiver.rx.eq(self.sender.tx)
        return m


def loop(sender: int, receiver: int, data: bytes) -> bytes:
    """What arrives of bytes sent back to back."""
    dut, got = Loop(sender, receiver), bytearray()
    errors = 0

    async def send(context: Any) -> None:
        port = dut.sender.i
        for byte in data:
            context.set(port.payload, byte)
            context.set(port.valid, 1)
            await context.tick().until(port.ready)
        context.set(port.valid, 0)
        await context.tick().repeat(12 * sender)

    async def receive(context: Any) -> None:
        nonlocal errors
        async for *_, valid, byte, error in context.tick().sample(
            dut.receiver.o.valid, dut.receiver.o.payload, dut.receiver.error
        ):
            if valid:
                got.append(byte)
            errors += error

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    assert errors == 0
    return bytes(got)


DATA = bytes([0x00, 0xFF, 0x55, 0xA5, 0x80, 0x01]) + Random(3).randbytes(20)


@pytest.mark.parametrize(("sender", "receiver"), [(4, 4), (5, 5), (8, 8), (80, 80), (31, 32), (33, 32)])
def test_what_is_sent_arrives(sender: int, receiver: int) -> None:
    assert loop(sender, receiver, DATA) == DATA


@pytest.mark.parametrize("percent", [-4, 4])
def test_a_rate_that_is_off_by_four_percent_arrives(percent: int) -> None:
    assert loop(100 + percent, 100, DATA[:10]) == DATA[:10]


def test_a_rate_that_is_off_by_far_does_not() -> None:
    data = bytes([0x0F, 0x00, 0x7F])
    with pytest.raises(AssertionError):
        assert loop(85, 100, data) == data


class Line(wiring.Component):
    """A receiver behind a member."""

    rx: Signal

    def __init__(self) -> None:
        super().__init__({"rx": In(1, init=1)})  # pyright: ignore[reportCallIssue]
        self.receiver = UartReceiver(8)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.submodules.receiver = self.receiver
        m.d.comb += self.receiver.rx.eq(self.rx)
        return m


def listen(levels: list[tuple[int, int]]) -> list[int]:
    """Bytes, and -1 for errors, from a line of (level, cycles) with eight cycles a bit."""
    dut, heard = Line(), []

    async def drive(context: Any) -> None:
        for level, cycles in levels:
            context.set(dut.rx, level)
            await context.tick().repeat(cycles)

    async def hear(context: Any) -> None:
        port = dut.receiver
        async for *_, valid, byte, error in context.tick().sample(port.o.valid, port.o.payload, port.error):
            heard.extend([byte] * valid + [-1] * error)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(hear, background=True)
    simulator.run()
    return heard


def frame(byte: int, stop: int = 1) -> list[tuple[int, int]]:
    return [(0, 8), *((byte >> bit & 1, 8) for bit in range(8)), (stop, 8)]


def test_a_glitch_is_no_start_bit() -> None:
    assert listen([(1, 30), (0, 2), (1, 60), *frame(0x3C), (1, 20)]) == [0x3C]


def test_a_missing_stop_bit_is_an_error_and_the_next_byte_is_right() -> None:
    line = [(1, 9), *frame(0x81, stop=0), (0, 50), (1, 16), *frame(0x42), (1, 20)]
    assert listen(line) == [-1, 0x42]


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_divisor_that_is_too_small() -> None:
    for kind in (UartReceiver, UartTransmitter):
        with pytest.raises(ValueError, match="divisor must be at least 4, not 3"):
            kind(3)
    gc.collect()
