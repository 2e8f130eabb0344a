"""The memories: plain words, lanes that are written by words and read by steps, tables, queues, rings."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.machine.parameters import ceil_div
from hlsgen.rtl.pipeline import address_bits, count_bits, register


def words_of(bits: int, columns: int) -> data.ArrayLayout:
    """Layout of a word: `columns` signed elements."""
    return data.ArrayLayout(signed(bits), columns)


def ram(m: Module, name: str, shape: Any, depth: int, *, init: list[int] | None = None) -> Memory:
    """A memory of at least two words, so that its address has a bit."""
    memory = Memory(shape=shape, depth=max(2, depth), init=init or [])
    m.submodules[name] = memory
    return memory


def _read(m: Module, memory: Memory, address: Value, name: str) -> Signal:
    """Data two cycles after `address`: the memory's own register, then one more."""
    port = memory.read_port()
    m.d.comb += port.addr.eq(address)
    return register(m, port.data, name=name)


class WordMemory(wiring.Component):
    """One write port and any number of read ports for whole words.

    Parameters
    ----------
    bits
        Word width.
    depth
        Words.
    readers
        Read ports.

    Members
    -------
    write, write_address, write_data : In
    read_address : In, one per reader
    read_data : Out, one per reader

    Latency
    -------
    A word is readable the cycle after its write; data come 2 cycles after the address.

    Throughput
    ----------
    One word a cycle and port.
    """

    write: Signal
    write_address: Signal
    write_data: Signal
    read_address: list[Signal]
    read_data: list[Signal]

    def __init__(self, bits: int, depth: int, *, readers: int = 1) -> None:
        self._bits, self._depth, self._readers = bits, depth, readers
        super().__init__(
            {
                "write": In(1),
                "write_address": In(address_bits(depth)),
                "write_data": In(bits),
                "read_address": In(address_bits(depth)).array(readers),
                "read_data": Out(bits).array(readers),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        memory = ram(m, "words", self._bits, self._depth)
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        for index in range(self._readers):
            found = _read(m, memory, self.read_address[index], f"data_{index}")
            m.d.comb += self.read_data[index].eq(found)
        return m


class LaneMemory(wiring.Component):
    """Lanes that are written one word of C elements at a time and read together, D elements each.

    Parameters
    ----------
    lanes
        Lanes.
    columns, depth
        C and D: bytes per written word, bytes per read step; powers of two.
    words
        Words per lane.

    Members
    -------
    write : In(1)
    write_lane, write_address : In
        Lane and word.
    write_data : In(8 * C)
    read_address : In
        Step: the bytes step*D .. step*D + D - 1 of every lane.
    read_data : Out(lanes x 8 * D)

    Latency
    -------
    A word is readable the cycle after its write; data come 2 cycles after the address.

    Throughput
    ----------
    One word and one step of all lanes a cycle.
    """

    write: Signal
    write_lane: Signal
    write_address: Signal
    write_data: Signal
    read_address: Signal
    read_data: Any

    def __init__(self, *, lanes: int, columns: int, depth: int, words: int) -> None:
        self._lanes, self._columns, self._depth = lanes, columns, depth
        self._banks = max(1, depth // columns)
        self._parts = max(1, columns // depth)
        self._words = ceil_div(words, self._banks) * self._banks
        steps = self._words // self._banks * self._parts
        super().__init__(
            {
                "write": In(1),
                "write_lane": In(address_bits(lanes)),
                "write_address": In(address_bits(self._words)),
                "write_data": In(8 * columns),
                "read_address": In(address_bits(steps)),
                "read_data": Out(data.ArrayLayout(8 * depth, lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        part_bits = self._parts.bit_length() - 1
        part = self.read_address[:part_bits]
        for index in range(2):
            part = register(m, part, name=f"part_{index}")
        for lane in range(self._lanes):
            found = Cat(self._bank(m, lane, bank, part_bits) for bank in range(self._banks))
            step = found.word_select(part, 8 * self._depth) if self._parts > 1 else found
            m.d.comb += self.read_data[lane].eq(step)
        return m

    def _bank(self, m: Module, lane: int, bank: int, part_bits: int) -> Value:
        """One memory: every `banks`-th word of a lane."""
        bank_bits = self._banks.bit_length() - 1
        memory = ram(m, f"lane_{lane}_{bank}", 8 * self._columns, self._words // self._banks)
        write = memory.write_port()
        here = self.write_lane == lane
        if bank_bits:
            here &= self.write_address[:bank_bits] == bank
        m.d.comb += [
            write.en.eq(self.write & here),
            write.addr.eq(self.write_address[bank_bits:]),
            write.data.eq(self.write_data),
        ]
        return _read(m, memory, self.read_address[part_bits:], f"data_{lane}_{bank}")


class Table(wiring.Component):
    """C copies of a byte table with two banks, written eight entries at a time.

    Parameters
    ----------
    columns
        Copies, one per lane.
    entries
        Entries per bank, a power of two, at least 8.

    Members
    -------
    write : In(1)
    write_address : In
        Bank and eighth of an entry's index.
    write_data : In(64)
    index : In(C x entry index)
    bank : In(1)
    value : Out(C x 8)

    Latency
    -------
    3 cycles from index and bank to value.

    Throughput
    ----------
    C entries a cycle.
    """

    latency = 3
    write: Signal
    write_address: Signal
    write_data: Signal
    index: Any
    bank: Signal
    value: Any

    def __init__(self, columns: int, entries: int) -> None:
        self._columns, self._entries = columns, entries
        self.index_bits = address_bits(entries)
        super().__init__(
            {
                "write": In(1),
                "write_address": In(self.index_bits - 2),
                "write_data": In(64),
                "index": In(data.ArrayLayout(self.index_bits, columns)),
                "bank": In(1),
                "value": Out(data.ArrayLayout(8, columns)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        for lane in range(self._columns):
            memory = ram(m, f"lane_{lane}", 64, self._entries // 4)
            write = memory.write_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data),
            ]
            index = Value.cast(self.index[lane])
            found = _read(m, memory, Cat(index[3:], self.bank), f"eight_{lane}")
            part = index[:3]
            for stage in range(2):
                part = register(m, part, name=f"part_{lane}_{stage}")
            m.d.sync += self.value[lane].eq(found.word_select(part, 8))
        return m


class Queue(wiring.Component):
    """A first-in first-out queue in a small memory, with registered output.

    Parameters
    ----------
    shape
        Payload.
    depth
        Entries beside the output register, a power of two.

    Members
    -------
    i : In(stream)
    o : Out(stream)

    Latency
    -------
    2 cycles when empty.

    Throughput
    ----------
    One entry a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: Any, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two from 2 on, not {depth!r}")
        self._shape, self._depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        memory = ram(m, "entries", self._shape, self._depth)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        head, tail = Signal(address_bits(self._depth)), Signal(address_bits(self._depth))
        level = Signal(count_bits(self._depth))
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(level != self._depth),
            push.eq(self.i.valid & self.i.ready),
            pop.eq((level != 0) & (~self.o.valid | self.o.ready)),
            write.en.eq(push),
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            read.addr.eq(head),
        ]
        m.d.sync += [level.eq(level + push - pop), tail.eq(tail + push), head.eq(head + pop)]
        with m.If(pop):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class Ring(wiring.Component):
    """A ring of words that may be read over and over before they are given back.

    A reader first reserves a word on its first pass over a group, and takes words in order; on the last
    word of a pass it either rewinds to the group's first word or commits the next one as such. Reserving
    and taking may be some cycles apart.

    Parameters
    ----------
    bits
        Word width.
    depth
        Words.

    Members
    -------
    words : In(stream)
    available : Out(1)
        A word is there that nobody has reserved.
    reserve : In(1)
        One available word is spoken for.
    take : In(1)
        Read the current word and go on to the next.
    release : In(1)
        With `take`: the word may be overwritten.
    rewind, commit : In(1)
        With `take`: back to the group's first word; the next word is a group's first.
    data : Out(bits)
        The word last taken.

    Latency
    -------
    2 cycles from take to data, 2 cycles from a word's transfer to `available`.

    Throughput
    ----------
    One word in and one out a cycle.
    """

    words: stream.Interface
    available: Signal
    reserve: Signal
    take: Signal
    release: Signal
    rewind: Signal
    commit: Signal
    data: Signal

    def __init__(self, bits: int, depth: int) -> None:
        self._bits, self._depth = bits, max(2, depth)
        controls = ("reserve", "take", "release", "rewind", "commit")
        super().__init__(
            {"words": In(stream.Signature(bits)), "available": Out(1), "data": Out(bits)}
            | {name: In(1) for name in controls}
        )

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        memory = ram(m, "memory", self._bits, self._depth)
        write, read = memory.write_port(), memory.read_port()
        tail, position = Signal(address_bits(self._depth)), Signal(address_bits(self._depth))
        push = Signal()
        m.d.sync += push.eq(self.words.valid & self.words.ready)
        m.d.comb += [
            write.en.eq(push),
            write.addr.eq(tail),
            write.data.eq(register(m, self.words.payload, name="payload")),
            read.en.eq(self.take),
            read.addr.eq(position),
            self.data.eq(register(m, read.data, name="found")),
        ]
        with m.If(push):
            m.d.sync += tail.eq(self._next(tail))
        self._move(m, position)
        self._count(m, push)
        return m

    def _next(self, address: Value) -> Value:
        if self._depth & (self._depth - 1) == 0:
            return address + 1
        return Mux(address == self._depth - 1, 0, address + 1)

    def _move(self, m: Module, position: Signal) -> None:
        """Where the next word lies, and where the group began."""
        first, following = Signal.like(position), Signal.like(position)
        m.d.comb += following.eq(self._next(position))
        with m.If(self.take):
            m.d.sync += position.eq(Mux(self.rewind, first, following))
            with m.If(self.commit):
                m.d.sync += first.eq(following)

    def _count(self, m: Module, push: Signal) -> None:
        """Words nobody has reserved, and free places; both as registered flags."""
        unread, free = Signal(count_bits(self._depth)), Signal(count_bits(self._depth), init=self._depth)
        unread_next, free_next = Signal.like(unread), Signal.like(free)
        has_place = Signal(init=1)
        m.d.comb += [
            unread_next.eq(unread + push - self.reserve),
            free_next.eq(free + (self.take & self.release) - (self.words.valid & has_place)),
            self.words.ready.eq(has_place),
        ]
        m.d.sync += [
            unread.eq(unread_next),
            self.available.eq(unread_next != 0),
            free.eq(free_next),
            has_place.eq(free_next != 0),
        ]
