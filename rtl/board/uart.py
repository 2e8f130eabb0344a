# SPDX-License-Identifier: Apache-2.0
"""A serial port: 8 data bits, no parity, one stop bit, least significant bit first."""

from __future__ import annotations

from amaranth import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

DATA_BITS = 8
MIN_DIVISOR = 4
"""Cycles per bit below which the middle of a bit can't be told from its edge."""


def _checked(divisor: int) -> int:
    if divisor < MIN_DIVISOR:
        raise ValueError(f"divisor must be at least {MIN_DIVISOR}, not {divisor!r}")
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a serial line, each bit sampled in its middle.

    A start bit that is gone at its middle was noise. After a missing stop bit the line must rise before the
    next start bit counts.

    Parameters
    ----------
    divisor
        Cycles per bit.

    Members
    -------
    rx : In(1)
        The line, of no clock.
    o : Out(stream, always ready)
        A byte, valid for one cycle.
    error : Out(1)
        High for one cycle in place of a byte whose stop bit was missing.

    Latency
    -------
    Three cycles from the middle of the stop bit to `o`.
    """

    rx: Signal
    o: stream.Interface
    error: Signal

    def __init__(self, divisor: int) -> None:
        self._divisor = _checked(divisor)
        super().__init__(
            {
                "rx": In(1, init=1),  # pyright: ignore[reportCallIssue]
                "o": Out(stream.Signature(DATA_BITS, always_ready=True)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        line, timer, due = Signal(init=1), Signal(range(self._divisor)), Signal()
        left, shift = Signal(range(DATA_BITS)), Signal(DATA_BITS)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        m.d.comb += [due.eq(timer == 0), self.o.payload.eq(shift)]
        m.d.sync += [self.o.valid.eq(0), self.error.eq(0), timer.eq(timer - 1)]
        with m.If(due):
            m.d.sync += timer.eq(self._divisor - 1)
        with m.FSM(name="receiver"):
            with m.State("IDLE"), m.If(~line):
                m.d.sync += timer.eq(self._divisor // 2 - 1)
                m.next = "START"
            with m.State("START"), m.If(due):
                m.d.sync += left.eq(DATA_BITS - 1)
                with m.If(line):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "DATA"
            with m.State("DATA"), m.If(due):
                m.d.sync += [shift.eq(Cat(shift[1:], line)), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "STOP"
            with m.State("STOP"), m.If(due):
                m.d.sync += [self.o.valid.eq(line), self.error.eq(~line)]
                with m.If(line):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line.

    Parameters
    ----------
    divisor
        Cycles per bit.

    Members
    -------
    i : In(stream)
        Bytes; ready while nothing is being sent.
    tx : Out(1)
        The line, from a register.

    Throughput
    ----------
    One byte in ten bits and one cycle.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int) -> None:
        self._divisor = _checked(divisor)
        super().__init__(
            {
                "i": In(stream.Signature(DATA_BITS)),
                "tx": Out(1, init=1),  # pyright: ignore[reportCallIssue]
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        bits = DATA_BITS + 2
        shift, left = Signal(bits, init=(1 << bits) - 1), Signal(range(bits + 1))
        timer = Signal(range(self._divisor))
        m.d.comb += self.i.ready.eq(left == 0)
        m.d.sync += [self.tx.eq(shift[0]), timer.eq(timer - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                shift.eq(Cat(C(0, 1), self.i.payload, C(1, 1))),
                left.eq(bits),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [shift.eq(Cat(shift[1:], C(1, 1))), timer.eq(self._divisor - 1)]
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        return m
