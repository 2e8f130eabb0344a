# SPDX-License-Identifier: Apache-2.0
"""The constant reader: records at the ends of their fields, tables, a word of constants a cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.constants import extremes

from hlsgen.lower.constants import ConstantStream
from hlsgen.machine.format.constants import Item, block_words, payload_words, word_bytes
from hlsgen.rtl.core.constants import ConstantReader, ring_bits

COLUMNS = (1, 2, 4, 16)


@dataclass
class Seen:
    """What left the reader, and when."""

    constants: list[list[tuple[int, int, int]]] = field(default_factory=list)
    tables: list[tuple[str, int, int]] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


def _words(columns: int, data: bytes) -> list[int]:
    size = word_bytes(columns)
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


async def _send(context: Any, reader: ConstantReader, words: list[int], random: Random, stall: float) -> None:
    """The stream's words, with gaps."""
    for word in words:
        while random.random() < stall:
            await context.tick()
        context.set(reader.words.payload, word)
        context.set(reader.words.valid, 1)
        taken = False
        while not taken:
            *_, taken = await context.tick().sample(reader.words.ready)
        context.set(reader.words.valid, 0)


def _read(
    columns: int, data: bytes, *, stall: float = 0.0, wanted: int, entries: int = 0, bits: int = 8
) -> Seen:
    """Run the stream through the reader until so many blocks and parts of tables have left it.

    bits: of the index of an activation's table.
    """
    reader, seen, random = ConstantReader(columns, 8, index_bits=bits), Seen(), Random(columns)

    async def source(context: Any) -> None:
        await _send(context, reader, _words(columns, data), random, stall)

    async def watch(context: Any) -> None:
        tables = {"activation": reader.activation, "exp": reader.exp, "gate": reader.gate}
        writes = [value for table in tables.values() for value in (table.valid, table.address, table.data)]
        for cycle in range(4000):
            if (len(seen.constants), len(seen.tables)) == (wanted, entries):
                return
            context.set(reader.constants.ready, random.random() >= stall)
            ports = (reader.constants.valid, reader.constants.ready, reader.constants.payload)
            *_, valid, ready, block, wa, aa, da, we, ae, de, wg, ag, dg = await context.tick().sample(
                *ports, *writes
            )
            if valid and ready:
                seen.constants.append([(each.bias, each.multiplier, each.shift) for each in block])
                seen.cycles.append(cycle)
            parts = ((wa, aa, da), (we, ae, de), (wg, ag, dg))
            for name, (write, address, entries_of) in zip(tables, parts, strict=True):
                if write:
                    seen.tables.append((name, address, entries_of))
        raise AssertionError(f"only {len(seen.constants)} blocks and {len(seen.tables)} parts came")

    simulator = Simulator(reader)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return seen


def _as_lists(fields: np.ndarray) -> list[list[tuple[int, int, int]]]:
    return [[(b, m, s) for b, m, s in zip(*block, strict=True)] for block in fields.swapaxes(0, 1).tolist()]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_extremes_reach_the_ring(columns: int, stall: float) -> None:
    stream, wanted = ConstantStream(columns), []
    for blocks in (1, 3, 4, 5, 8, 9, 1):
        fields = extremes(blocks, columns)
        stream.constants(*fields)
        wanted += _as_lists(fields)
    seen = _read(columns, stream.pack(), stall=stall, wanted=len(wanted))
    assert seen.constants == wanted


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_word_of_constants_a_cycle(columns: int) -> None:
    stream = ConstantStream(columns)
    stream.constants(*extremes(23, columns))
    cycles = _read(columns, stream.pack(), wanted=23).cycles
    assert cycles[-1] - cycles[0] == block_words(23) - block_words(1)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_tables_between_constants_keep_their_entries(columns: int, stall: float) -> None:
    random, stream = np.random.default_rng(columns), ConstantStream(columns)
    activation, exp, gate = (random.integers(0, limit, 256) for limit in (256, 256, 1 << 15))
    before, after = extremes(5, columns), extremes(3, columns)
    stream.table(Item.ACTIVATION_TABLE, activation, 0)
    stream.constants(*before)
    stream.load(stream.reserve(Item.GATE_TABLE, gate, 1))
    stream.table(Item.EXP_TABLE, exp, 1)
    stream.constants(*after)
    seen = _read(columns, stream.pack(), stall=stall, wanted=8, entries=32 + 64 + 32)
    assert seen.constants == _as_lists(before) + _as_lists(after)
    expected = []
    for name, data in (
        ("activation", activation.astype(np.uint8).tobytes()),
        ("gate", gate.astype("<u2").tobytes()),
        ("exp", exp.astype(np.uint8).tobytes()),
    ):
        parts = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
        expected += [(name, address, part) for address, part in enumerate(parts)]
    assert seen.tables == expected


@pytest.mark.parametrize("columns", COLUMNS)
def test_tables_of_fewer_bits_lie_in_the_middle(columns: int) -> None:
    """Of banks of 1,024 entries: all, the middle quarter, the middle half."""
    stream, expected = ConstantStream(columns, index_bits=10), list[tuple[str, int, int]]()
    for bank, (first, size) in enumerate([(0, 1024), (48, 256), (32, 512)]):
        table = np.random.default_rng(size).integers(0, 256, size)
        assert stream.table(Item.ACTIVATION_TABLE, table, bank) == bank % 2
        parts = np.frombuffer(table.astype(np.uint8).tobytes(), "<u8").tolist()
        begin = 128 * (bank % 2) + first
        expected += [("activation", address, part) for address, part in enumerate(parts, begin)]
    # The third table waits for the command that reads the first one.
    data = bytearray(stream.pack())
    at = len(data) - payload_words(Item.ACTIVATION_TABLE, 512, columns) * word_bytes(columns)
    data[at - word_bytes(columns) + 6 : at - word_bytes(columns) + 8] = b"\xff\xff"
    seen = _read(columns, bytes(data), wanted=0, entries=128 + 32 + 64, bits=10)
    assert seen.tables == expected


def test_the_ring_is_as_narrow_as_the_records() -> None:
    assert [ring_bits(columns) for columns in COLUMNS] == [40, 80, 160, 640]
