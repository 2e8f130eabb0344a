# SPDX-License-Identifier: Apache-2.0
"""`pynq` for cocotb: the parts of PYNQ that a driver uses, with the simulated RTL behind them.

    with installed(bench) as pynq:
        driver = ...                            a module that says `import pynq`; unmodified
        await bridge(script)(driver)            plain Python that calls it

A buffer lies in the host's cache: the accelerator sees what was flushed, the host what it has invalidated.
Nothing else moves a byte between them, so a driver that forgets either gives wrong results. Needs cocotb and
NumPy only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from cocotb.task import resume
from cocotb.utils import get_sim_time

from .memory_model import AxiLiteMaster, Regions
from .testbench import Bench

FIRST_ADDRESS, PAGE = 0x7_0000_0000, 4096
GARBAGE = 0xA5
"""What a new buffer holds in memory; in the cache it holds zeros."""


class Buffer(np.ndarray):
    """What `pynq.allocate` gives: an array with an address, and a cache."""

    device_address: int
    _memory: bytearray

    @property
    def physical_address(self) -> int:
        """Another name of `device_address`."""
        return self.device_address

    def flush(self) -> None:
        """Write the cache back to memory."""
        self._memory[:] = self.tobytes()

    def invalidate(self) -> None:
        """Forget the cache: what is in memory shows."""
        self[...] = np.frombuffer(bytes(self._memory), self.dtype).reshape(self.shape)


class Mmio:
    """Registers behind AXI4-Lite, for plain Python under cocotb's `bridge`."""

    def __init__(self, host: AxiLiteMaster) -> None:
        self._host = host

    def read(self, offset: int, length: int = 4) -> int:
        """One register."""
        if length != 4 or offset % 4:
            raise ValueError(f"a register has 4 bytes at a multiple of 4, not {length} at {offset}")
        return resume(self._host.read)(offset)

    def write(self, offset: int, value: int) -> None:
        """One register; `value` has 32 bits."""
        if offset % 4 or not 0 <= value < 1 << 32:
            raise ValueError(f"a register is 32 bits at a multiple of 4, not {value} at {offset}")
        resume(self._host.write)(offset, value)


class Pynq:
    """Allocates in the bench's memory and loads the bench's one bitstream."""

    def __init__(self, bench: Bench) -> None:
        self._mmio, self._memory = Mmio(bench.host), bench.memory
        self._next = FIRST_ADDRESS

    def overlay(self, name: str, download: bool = True) -> Any:  # noqa: ARG002 PYNQ has it
        """The loaded bitstream, with its cell `accelerator`; raises `OSError` for a file that isn't there."""
        if not Path(name).is_file():
            raise OSError(f"bitstream file {name} does not exist")
        return SimpleNamespace(accelerator=SimpleNamespace(mmio=self._mmio))

    def allocate(self, shape: Sequence[int] | int, dtype: Any = "u4") -> Buffer:
        """A buffer of zeros; the memory behind it holds something else until it is flushed."""
        return allocate(self._memory, self._place(shape, dtype), shape, dtype)

    def _place(self, shape: Sequence[int] | int, dtype: Any) -> int:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        place, self._next = self._next, self._next + (size // PAGE + 1) * PAGE
        return place


def allocate(memory: Regions, address: int, shape: Sequence[int] | int, dtype: Any) -> Buffer:
    """A buffer at an address."""
    buffer = np.zeros(shape, dtype).view(Buffer)
    memory.add(address, bytes([GARBAGE]) * buffer.nbytes, writable=True)
    buffer.device_address, buffer._memory = address, memory.regions[address]
    return buffer


class SimulatedTime:
    """Stands for the module `time`: its seconds are the simulation's."""

    @staticmethod
    def monotonic() -> float:
        """Seconds of the simulation."""
        return get_sim_time("ns") * 1e-9


@contextmanager
def installed(bench: Bench) -> Iterator[Pynq]:
    """`import pynq` finds the model while this context is open."""
    pynq, module = Pynq(bench), ModuleType("pynq")
    module.__dict__.update(Overlay=pynq.overlay, allocate=pynq.allocate)
    before = sys.modules.get("pynq")
    sys.modules["pynq"] = module
    try:
        yield pynq
    finally:
        if before is None:
            del sys.modules["pynq"]
        else:
            sys.modules["pynq"] = before
