# SPDX-License-Identifier: Apache-2.0
"""The memories: plain words, lanes that are written by words and read by steps, tables."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.time.latency import MEMORY, TABLE
from hlsgen.rtl.parts.pipeline import address_bits, delay, without_reset
from hlsgen.rtl.parts.ports import Bundle


def words_of(bits: int, columns: int) -> data.ArrayLayout:
    """Layout of a word: `columns` signed elements."""
    return data.ArrayLayout(signed(bits), columns)


def ram(
    m: Module, name: str, shape: Any, depth: int, *, init: list[int] | None = None, block: bool = False
) -> Memory:
    """A memory of at least two words, so that its address has a bit; `block`: in block RAM, however small."""
    attributes = {"ram_style": "block"} if block else {}
    memory = Memory(shape=shape, depth=max(2, depth), init=init or [], attrs=attributes)
    m.submodules[name] = memory
    return memory


def _read(m: Module, memory: Memory, address: Value, name: str, latency: int = MEMORY) -> Signal:
    """Data `latency` cycles after `address`: the memory's own register, then others."""
    port = memory.read_port()
    m.d.comb += port.addr.eq(address)
    return delay(m, port.data, latency - 1, name=name)


def delay_in_memory(m: Module, value: Any, cycles: int, *, name: str) -> Any:
    """`value` at least two cycles later, out of a memory that is read and written at one place a cycle.

    For many bits: where LUT memory holds 16 x 4 bits, a delay of any length takes fewer cells than registers.
    """
    memory = ram(m, name, value.shape(), cycles)
    # It goes on during a reset, so that the memory holds nothing from before.
    place = Signal(range(cycles), name=f"{name}_place", reset_less=True)
    write, read = memory.write_port(), memory.read_port(domain="comb")
    m.d.sync += place.eq(Mux(place == cycles - 1, 0, place + 1))
    m.d.comb += [
        write.en.eq(1),
        write.addr.eq(place),
        write.data.eq(value),
        read.addr.eq(place),
    ]
    return read.data


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
    block
        Use block RAM, however few words there are.
    latency
        Cycles from a read's address to its data.

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
    A word is readable the cycle after its write; data come `latency` cycles after the address.

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

    def __init__(
        self, *, lanes: int, columns: int, depth: int, words: int, block: bool = False, latency: int = MEMORY
    ) -> None:
        self._block, self._latency = block, latency
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
        part = delay(m, self.read_address[:part_bits], self._latency, name="part") if part_bits else None
        for lane in range(self._lanes):
            found = Cat(self._bank(m, lane, bank, part_bits) for bank in range(self._banks))
            step = found if part is None else found.word_select(part, 8 * self._depth)
            m.d.comb += self.read_data[lane].eq(step)
        return m

    def _bank(self, m: Module, lane: int, bank: int, part_bits: int) -> Value:
        """One memory: every `banks`-th word of a lane."""
        bank_bits = self._banks.bit_length() - 1
        words = self._words // self._banks
        memory = ram(m, f"lane_{lane}_{bank}", 8 * self._columns, words, block=self._block)
        write = memory.write_port()
        here = self.write_lane == lane
        if bank_bits:
            here &= self.write_address[:bank_bits] == bank
        m.d.comb += [
            write.en.eq(self.write & here),
            write.addr.eq(self.write_address[bank_bits:]),
            write.data.eq(self.write_data),
        ]
        return _read(m, memory, self.read_address[part_bits:], f"data_{lane}_{bank}", self._latency)


class TableWritePorts(wiring.PureInterface):
    """An interface of `TableWrite`."""

    valid: Signal
    address: Signal
    data: Signal


class TableWrite(Bundle):
    """Entries of a table, 64 bits at a time, from the reader of the constant stream (`Out`).

    valid : Out(1)
    address : Out
        Of two banks of byte entries: the bank, above an eighth of the index. Of one bank of 16 bits: a
        quarter of the index.
    data : Out(64)
        Eight entries, or four.

    Parameters
    ----------
    entries
        Entries per bank.
    """

    interface: ClassVar = TableWritePorts

    def __init__(self, entries: int) -> None:
        super().__init__({"valid": Out(1), "address": Out(address_bits(entries) - 2), "data": Out(64)})


class Table(wiring.Component):
    """C copies of a byte table with two banks, written eight entries at a time.

    Parameters
    ----------
    columns
        Copies, one per lane.
    entries
        Entries per bank, a power of two, at least 8.
    block
        In memory blocks whose ports may differ in width: written by eight entries, read by one. Otherwise
        eight are read and one is chosen, in registers.

    Members
    -------
    write : In(TableWrite)
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

    latency = TABLE
    write: TableWritePorts
    index: Any
    bank: Signal
    value: Any

    def __init__(self, columns: int, entries: int, *, block: bool = False) -> None:
        self._columns, self._entries, self._block = columns, entries, block
        self.index_bits = address_bits(entries)
        super().__init__(
            {
                "write": In(TableWrite(entries)),
                "index": In(data.ArrayLayout(self.index_bits, columns)),
                "bank": In(1),
                "value": Out(data.ArrayLayout(8, columns)),
            }
        )
        without_reset(self, "index", "bank", "value")

    def elaborate(self, platform: Any) -> Module:
        del platform
        m = Module()
        for lane in range(self._columns):
            read = self._read_entry if self._block else self._read_eight
            m.d.sync += self.value[lane].eq(read(m, lane))
        return m

    def _read_eight(self, m: Module, lane: int) -> Value:
        memory = ram(m, f"lane_{lane}", 64, self._entries // 4)
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write.valid),
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data),
        ]
        index = Value.cast(self.index[lane])
        found = _read(m, memory, Cat(index[3:], self.bank), f"eight_{lane}")
        return found.word_select(delay(m, index[:3], MEMORY, name=f"part_{lane}"), 8)

    def _read_entry(self, m: Module, lane: int) -> Value:
        """Eight ports of a byte, side by side: synthesis makes one wide port of them."""
        memory = ram(m, f"lane_{lane}", 8, 2 * self._entries, block=True)
        for place in range(8):
            write = memory.write_port()
            m.d.comb += [
                write.en.eq(self.write.valid),
                write.addr.eq(Cat(C(place, 3), self.write.address)),
                write.data.eq(self.write.data.word_select(place, 8)),
            ]
        return _read(m, memory, Cat(self.index[lane], self.bank), f"entry_{lane}")
