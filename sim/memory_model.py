# SPDX-License-Identifier: Apache-2.0
"""External memory and host for cocotb: an AXI4 slave and an AXI4-Lite master.

Both look and drive at the falling edge of the clock. The accelerator's bus outputs come from registers, so
what is seen there is what counts at the next rising edge, in every simulator alike. Needs cocotb only.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import FallingEdge

OKAY, SLAVE_ERROR, DECODE_ERROR = 0, 2, 3
BOUNDARY = 4096


class RuleBroken(AssertionError):
    """The accelerator broke a rule of AXI."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """latency in cycles; stall: chance that a ready or valid is held back in a cycle, drawn from `seed`."""

    latency: int = 4
    stall: float = 0.0
    seed: int = 1
    outstanding: int = 16


@dataclass
class Regions:
    """Bytes at addresses: regions that may be read, and those of them that may be written."""

    regions: dict[int, bytearray] = field(default_factory=dict)
    writable: set[int] = field(default_factory=set)

    def add(self, base: int, data: bytes, *, writable: bool = False) -> None:
        """Put `data` at `base`."""
        self.regions[base] = bytearray(data)
        if writable:
            self.writable.add(base)

    def find(self, address: int, size: int) -> tuple[int, bytearray] | None:
        """Base and bytes of the region that holds `size` bytes from `address`."""
        for base, data in self.regions.items():
            if base <= address and address + size <= base + len(data):
                return base, data
        return None


@dataclass
class _Burst:
    address: int
    beats: int
    when: int
    response: int = OKAY


class AxiMemory:
    """AXI4 slave in front of a `Regions`: in order, with latency, random stalls and errors on demand.

    Parameters
    ----------
    dut
        The top, with ports `prefix_*` and `clk`.
    memory
        What it reads and writes.
    timing
        Latency and stalls.
    read_fails, write_fails
        Called with a beat's address; true: the beat, or its burst, gets an error response.
    """

    def __init__(
        self, dut: Any, memory: Regions, timing: Timing | None = None, prefix: str = "m_axi"
    ) -> None:
        self._dut, self._prefix, self.memory = dut, prefix, memory
        self.read_fails: Callable[[int], bool] = lambda address: False  # noqa: ARG005
        self.write_fails: Callable[[int], bool] = lambda address: False  # noqa: ARG005
        self.frozen = False
        """Answer nothing and accept nothing."""
        self.read_beats = self.write_beats = 0
        self.written: set[int] = set()
        """Addresses of all bytes written with a strobe."""
        self.bus_bytes = len(self._port("wdata")) // 8
        self._held: dict[str, tuple[int, ...]] = {}
        self.set_timing(timing or Timing())
        self.clear()

    def set_timing(self, timing: Timing) -> None:
        """Change latency and stalls, and draw the stalls anew."""
        self.timing, self._random = timing, random.Random(timing.seed)

    def clear(self) -> None:
        """Forget all transfers, as a reset does."""
        self._cycle = 0
        self._r_taken = self._b_taken = False
        self._reads: deque[_Burst] = deque()
        self._writes: deque[_Burst] = deque()
        self._answers: deque[_Burst] = deque()
        self._held.clear()
        for name in ("arready", "rvalid", "rlast", "awready", "wready", "bvalid"):
            self._set(name, 0)

    @property
    def idle(self) -> bool:
        """No transfer is under way."""
        return not (self._reads or self._writes or self._answers)

    async def run(self) -> None:
        """Serve the bus for ever; start it as a task."""
        while True:
            await FallingEdge(self._dut.clk)
            if int(self._dut.rst.value):
                self.clear()
                continue
            self._cycle += 1
            self._read_address()
            self._read_data()
            self._write_address()
            self._write_data()
            self._write_response()

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"{self._prefix}_{name}")

    def _get(self, name: str) -> int:
        return int(self._port(name).value)

    def _set(self, name: str, value: int) -> None:
        self._port(name).value = value

    def _free(self) -> bool:
        return not self.frozen and not (self.timing.stall and self._random.random() < self.timing.stall)

    def _accept(self, channel: str, fields: tuple[str, ...], able: bool) -> tuple[int, ...] | None:
        """Drive a ready; return the fields if the channel transfers at the next edge."""
        ready = able and self._free()
        self._set(f"{channel}ready", ready)
        if not self._get(f"{channel}valid"):
            if channel in self._held:
                raise RuleBroken(f"{channel}valid fell before {channel}ready")
            return None
        values = tuple(self._get(channel + name) for name in fields)
        if self._held.get(channel, values) != values:
            raise RuleBroken(f"{channel} changed while it waited")
        if ready:
            self._held.pop(channel, None)
            return values
        self._held[channel] = values
        return None

    def _burst(self, values: tuple[int, ...], what: str) -> _Burst:
        address, length, size, kind = values
        total = (length + 1) * self.bus_bytes
        if address % self.bus_bytes or address // BOUNDARY != (address + total - 1) // BOUNDARY:
            raise RuleBroken(f"{what} burst of {total} bytes at {address:#x} is unaligned or crosses 4 KiB")
        if 1 << size != self.bus_bytes or kind != 1:
            raise RuleBroken(f"{what} burst is narrow or not incrementing")
        return _Burst(address, length + 1, self._cycle + self.timing.latency)

    def _read_address(self) -> None:
        fields = ("addr", "len", "size", "burst")
        values = self._accept("ar", fields, len(self._reads) < self.timing.outstanding)
        if values is not None:
            self._reads.append(self._burst(values, "read"))

    def _read_data(self) -> None:
        """Offer a beat; `rready` is seen now, so the beat moves at the next edge or stays offered."""
        offered = int(self._port("rvalid").value)
        if offered and self._r_taken:
            burst = self._reads[0]
            burst.address, burst.beats = burst.address + self.bus_bytes, burst.beats - 1
            if not burst.beats:
                self._reads.popleft()
            offered = 0
        if not offered:
            offered = int(bool(self._reads) and self._reads[0].when <= self._cycle and self._free())
            self._set("rvalid", offered)
            if offered:
                self._offer(self._reads[0])
        self._r_taken = bool(offered and self._get("rready"))

    def _offer(self, burst: _Burst) -> None:
        found = self.memory.find(burst.address, self.bus_bytes)
        data = 0
        if found is not None:
            start = burst.address - found[0]
            data = int.from_bytes(found[1][start : start + self.bus_bytes], "little")
        failed = self.read_fails(burst.address)
        self._set("rdata", data)
        self._set("rresp", SLAVE_ERROR if failed else OKAY if found else DECODE_ERROR)
        self._set("rlast", burst.beats == 1)
        self.read_beats += 1

    def _write_address(self) -> None:
        fields = ("addr", "len", "size", "burst")
        values = self._accept("aw", fields, len(self._writes) < self.timing.outstanding)
        if values is not None:
            self._writes.append(self._burst(values, "write"))

    def _write_data(self) -> None:
        values = self._accept("w", ("data", "strb", "last"), bool(self._writes))
        if values is None:
            return
        data, strobes, last = values
        burst = self._writes[0]
        self._store(burst, data.to_bytes(self.bus_bytes, "little"), strobes)
        burst.address, burst.beats = burst.address + self.bus_bytes, burst.beats - 1
        self.write_beats += 1
        if bool(last) != (burst.beats == 0):
            raise RuleBroken("wlast is wrong")
        if not burst.beats:
            burst.when = self._cycle + self.timing.latency
            self._answers.append(self._writes.popleft())

    def _store(self, burst: _Burst, data: bytes, strobes: int) -> None:
        found = self.memory.find(burst.address, self.bus_bytes)
        if self.write_fails(burst.address):
            burst.response = SLAVE_ERROR
        if found is None or found[0] not in self.memory.writable:
            burst.response = max(burst.response, DECODE_ERROR if strobes else OKAY)
            found = None
        for lane in range(self.bus_bytes):
            if strobes >> lane & 1:
                self.written.add(burst.address + lane)
                if found is not None:
                    found[1][burst.address + lane - found[0]] = data[lane]

    def _write_response(self) -> None:
        if int(self._port("bvalid").value) and self._b_taken:
            self._answers.popleft()
            self._set("bvalid", 0)
            self._b_taken = False
            return
        if int(self._port("bvalid").value) or not self._answers or self._answers[0].when > self._cycle:
            self._b_taken = bool(int(self._port("bvalid").value) and self._get("bready"))
            return
        if self._free():
            self._set("bvalid", 1)
            self._set("bresp", self._answers[0].response)
            self._b_taken = bool(self._get("bready"))


class AxiLiteMaster:
    """The host: writes and reads 32-bit registers.

    Parameters
    ----------
    dut
        The top, with ports `prefix_*` and `clk`.
    """

    def __init__(self, dut: Any, prefix: str = "s_axil") -> None:
        self._dut, self._prefix = dut, prefix
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            self._port(name).value = 0

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"{self._prefix}_{name}")

    async def _transfer(self, *channels: str) -> None:
        """Hold the channels' valid until each has seen its ready."""
        waiting = set(channels)
        for channel in channels:
            self._port(f"{channel}valid").value = 1
        while waiting:
            taken = {channel for channel in waiting if int(self._port(f"{channel}ready").value)}
            await FallingEdge(self._dut.clk)
            for channel in taken:
                self._port(f"{channel}valid").value = 0
            waiting -= taken

    async def _answer(self, channel: str) -> int:
        self._port(f"{channel}ready").value = 1
        while not int(self._port(f"{channel}valid").value):
            await FallingEdge(self._dut.clk)
        response = int(self._port(f"{channel}resp").value)
        value = int(self._port("rdata").value) if channel == "r" else 0
        await FallingEdge(self._dut.clk)
        self._port(f"{channel}ready").value = 0
        if response != OKAY:
            raise RuleBroken(f"register access answered {response}")
        return value

    async def write(self, address: int, value: int, strobes: int = 15) -> None:
        """Write one register."""
        await FallingEdge(self._dut.clk)
        self._port("awaddr").value, self._port("wdata").value = address, value
        self._port("wstrb").value = strobes
        await self._transfer("aw", "w")
        await self._answer("b")

    async def write64(self, address: int, value: int) -> None:
        """Write two registers, low first."""
        await self.write(address, value & 0xFFFFFFFF)
        await self.write(address + 4, value >> 32)

    async def read(self, address: int) -> int:
        """Read one register."""
        await FallingEdge(self._dut.clk)
        self._port("araddr").value = address
        await self._transfer("ar")
        return await self._answer("r")
