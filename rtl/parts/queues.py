# SPDX-License-Identifier: Apache-2.0
"""Words in order: a queue, and a ring whose words may be read over and over."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hlsgen.rtl.parts.memories import ram
from hlsgen.rtl.parts.pipeline import address_bits, count_bits, moved, register, some_left, without_reset


class Queue(wiring.Component):
    """A first-in first-out queue in a small memory, with registered output.

    Parameters
    ----------
    shape
        Payload.
    depth
        Entries beside the output register, a power of two.
    apart
        A cycle passes after an entry is taken: only `o.valid` waits for `o.ready`, no other register does.

    Members
    -------
    i : In(stream)
    o : Out(stream)

    Latency
    -------
    2 cycles when empty.

    Throughput
    ----------
    One entry a cycle; with `apart` one in two cycles.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any, depth: int, *, apart: bool = False) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two from 2 on, not {depth!r}")
        self._shape, self._depth, self._apart = shape, depth, apart
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})
        without_reset(self.o, "payload")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        memory = ram(m, "entries", self._shape, self._depth)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(address_bits(self._depth)), Signal(address_bits(self._depth))
        level = Signal(count_bits(self._depth))
        push, pop, some, full = Signal(), Signal(), Signal(), Signal()
        free = ~self.o.valid if self._apart else ~self.o.valid | self.o.ready
        m.d.comb += [
            self.i.ready.eq(~full),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(some & free),
            write.en.eq(push),
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            read.addr.eq(head),
        ]
        m.d.sync += [tail.eq(tail + push), head.eq(head + pop)]
        m.d.sync += level.eq(moved(level, push, pop))
        m.d.sync += some.eq(some_left(level, push, pop))
        m.d.sync += full.eq(~pop & ((level == self._depth) | (push & (level == self._depth - 1))))
        # The payload is loaded where there is none, too: its many registers don't wait for `some`.
        with m.If(free):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(some)]
        if self._apart:
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        return m


class Ring(wiring.Component):
    """A ring of words that may be read over and over before they are given back.

    A reader first reserves a word on its first pass over a sweep's words, and takes words in order. On the
    last word of a pass it either rewinds to the sweep's first word or commits the next one as such.
    Reserving and taking may be some cycles apart.

    Parameters
    ----------
    bits
        Word width.
    depth
        Words.
    block
        Use block RAM, however few words there are.
    short
        Short paths from `take`: a place is free one cycle later, and `data` holds a word for one cycle only.
    parts
        Transfers that bring a word, its low bits first.
    stays
        A word may be taken more than once in a row.

    Members
    -------
    words : In(stream of bits / parts)
    coming, available : Out(1)
        A word that nobody has reserved is there, in the next cycle and in this one.
    reserve : In(1)
        One available word is spoken for.
    take : In(1)
        Read the current word and go on to the next.
    stay : In(1)
        With `take`: the next take is of this word once more; then none of the following. Only with `stays`.
    release : In(1)
        With `take`: the word may be overwritten.
    rewind, commit : In(1)
        With `take`: back to the sweep's first word; the next word is a sweep's first.
    data : Out(bits)
        The word last taken.

    Latency
    -------
    2 cycles from take to data, 1 cycle from a word's last transfer to `available`.

    Throughput
    ----------
    One word or part in and one word out a cycle.
    """

    words: stream.Interface
    coming: Signal
    available: Signal
    reserve: Signal
    take: Signal
    stay: Signal
    release: Signal
    rewind: Signal
    commit: Signal
    data: Signal

    def __init__(
        self,
        bits: int,
        depth: int,
        *,
        block: bool = False,
        short: bool = False,
        parts: int = 1,
        stays: bool = False,
    ) -> None:
        if bits % parts:
            raise ValueError(f"parts must divide the word's {bits} bits, not {parts!r}")
        self._bits, self._depth, self._block, self._short = bits, max(2, depth), block, short
        self._parts = parts
        controls = ("reserve", "take", "release", "rewind", "commit", *(("stay",) if stays else ()))
        self._stays = stays
        super().__init__(
            {
                "words": In(stream.Signature(bits // parts)),
                "coming": Out(1),
                "available": Out(1),
                "data": Out(bits),
            }
            | {name: In(1) for name in controls}
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        memory = ram(m, "memory", self._bits, self._depth, block=self._block)
        write = memory.write_port(granularity=self._bits // self._parts)
        read = memory.read_port()
        tail, position = Signal(address_bits(self._depth)), Signal(address_bits(self._depth))
        push = self._write(m, write)
        m.d.comb += [
            write.addr.eq(tail),
            read.en.eq(1 if self._short else self.take),
            read.addr.eq(position),
            self.data.eq(register(m, read.data, name="found")),
        ]
        with m.If(push):
            m.d.sync += tail.eq(self._next(tail))
        self._move(m, position)
        self._count(m, push)
        return m

    def _write(self, m: Module, port: Any) -> Signal:
        """Each part to its place in the word at the tail; whether that is complete with it."""
        taken, push = Signal(), Signal()
        m.d.comb += taken.eq(self.words.valid & self.words.ready)
        if self._parts == 1:
            m.d.comb += [push.eq(taken), port.en.eq(taken), port.data.eq(self.words.payload)]
            return push
        part = Signal(range(self._parts))
        last = part == self._parts - 1
        m.d.comb += [
            push.eq(taken & last),
            port.en.eq(taken << part),
            port.data.eq(self.words.payload.replicate(self._parts)),
        ]
        with m.If(taken):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        return push

    def _next(self, address: Value) -> Value:
        if self._depth & (self._depth - 1) == 0:
            return address + 1
        return Mux(address == self._depth - 1, 0, address + 1)

    @property
    def _leaves(self) -> Value:
        """The current word is taken for the last time in this pass."""
        return self.take & ~self.stay if self._stays else self.take

    def _move(self, m: Module, position: Signal) -> None:
        """Where the next word lies, and where the sweep began."""
        first, following = Signal.like(position), Signal.like(position)
        m.d.comb += following.eq(self._next(position))
        with m.If(self._leaves):
            m.d.sync += position.eq(Mux(self.rewind, first, following))
            with m.If(self.commit):
                m.d.sync += first.eq(following)

    def _count(self, m: Module, push: Signal) -> None:
        """Words nobody has reserved, and free places; both as registered flags."""
        unread, free = Signal(count_bits(self._depth)), Signal(count_bits(self._depth), init=self._depth)
        has_place, released = Signal(init=1), Signal()
        if self._short:
            m.d.sync += released.eq(self._leaves & self.release)
        else:
            m.d.comb += released.eq(self._leaves & self.release)
        m.d.comb += [
            self.words.ready.eq(has_place),
            self.coming.eq(some_left(unread, push, self.reserve)),
        ]
        m.d.sync += [
            unread.eq(moved(unread, push, self.reserve)),
            self.available.eq(self.coming),
            free.eq(moved(free, released, push)),
            has_place.eq(some_left(free, released, push)),
        ]
