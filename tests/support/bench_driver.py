# SPDX-License-Identifier: Apache-2.0
"""cocotb: the PYNQ driver of a project, as it lies there, drives the RTL. HLSGEN_DRIVER names its folder."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge

from hlsgen.machine.format.interface import ControlBit, Error, Header, Register, error_text
from hlsgen.sim.pynq_model import Buffer, SimulatedTime, installed
from hlsgen.sim.testbench import Bench

WATCHDOG = 600
Script = Callable[[Any, Any, Bench], None]
"""What is done with the driver's module, an accelerator, the bench."""


async def drive(dut: Any, script: Script) -> None:
    """Load the driver as on a board, and run plain Python with it."""
    bench = Bench(dut)
    await bench.start()
    folder = Path(os.environ["HLSGEN_DRIVER"])
    spec = importlib.util.spec_from_file_location("hlsgen_driver", folder / "hlsgen_driver.py")
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    driver.__dict__["time"] = SimulatedTime

    def run() -> None:
        accelerator = driver.Accelerator.load(folder / "hlsgen.bit")
        script(driver, accelerator, bench)

    with installed(bench):
        await bridge(run)()


def stored(accelerator: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The first stored image, and what each task must give."""
    with np.load(accelerator._folder / "vectors.npz") as vectors:
        return vectors["images"][0], [vectors["outputs"][0], vectors["outputs_1"][0]]


def check(accelerator: Any, task: int = 0) -> None:
    """An image is right."""
    image, outputs = stored(accelerator)
    np.testing.assert_array_equal(accelerator.run(image, task=task), outputs[task])


def refused(driver: Any, call: Callable[[], object], text: str) -> None:
    """The call must raise `DeviceError` with this text."""
    with pytest.raises(driver.DeviceError, match=re.escape(text)):
        call()


@cocotb.test()
async def self_test(dut: Any) -> None:
    """All stored images, for each task in turn; counters of experts."""

    def script(driver: Any, accelerator: Any, bench: Bench) -> None:
        del driver, bench
        assert accelerator.self_test() == 2
        assert accelerator.counters()["cycles"] > 0
        assert sum(expert["tokens"] for expert in accelerator.expert_counters()) > 0
        accelerator.check()

    await drive(dut, script)


@cocotb.test()
async def forgetful_drivers(dut: Any) -> None:
    """A driver that doesn't flush, or doesn't invalidate, gets wrong integers or an error."""

    def script(driver: Any, accelerator: Any, bench: Bench) -> None:
        del bench
        image, _ = stored(accelerator)
        for name in ("flush", "invalidate"):
            kept = getattr(Buffer, name)
            accelerator.run(~image)  # what is in memory and cache is another image's
            setattr(Buffer, name, lambda _: None)
            refused(driver, accelerator.self_test, "image 0, task 0, output (")
            setattr(Buffer, name, kept)
            check(accelerator)

    await drive(dut, script)


@contextmanager
def header(accelerator: Any, word: Header, flip: int) -> Iterator[None]:
    """A word of the header is another in memory, behind the driver's back."""
    words = accelerator._buffer[: 4 * len(Header)].view("<u4")
    words[word] ^= flip
    yield
    words[word] ^= flip


@contextmanager
def attribute(thing: Any, name: str, value: object) -> Iterator[None]:
    """Another value for a while."""
    kept = getattr(thing, name)
    setattr(thing, name, value)
    yield
    setattr(thing, name, kept)


@contextmanager
def fact(accelerator: Any, name: str, value: object) -> Iterator[None]:
    """The driver has a `design.json` that says something else."""
    kept = accelerator.design[name]
    accelerator.design[name] = value
    yield
    accelerator.design[name] = kept


@contextmanager
def silence(accelerator: Any, bench: Bench) -> Iterator[None]:
    """The memory answers nothing, and the watchdog is short."""
    kept = accelerator._registers.read(Register.WATCHDOG)
    accelerator._registers.write(Register.WATCHDOG, WATCHDOG)
    with attribute(bench.bus, "frozen", True):
        yield
    accelerator._registers.write(Register.WATCHDOG, kept)


@contextmanager
def misaligned(accelerator: Any) -> Iterator[None]:
    """Another reader of the input's address than the driver."""
    first, *others = accelerator._inputs
    with attribute(accelerator, "_inputs", [first + 4, *others]):
        yield


class Meddler:
    """Registers that somebody else uses as well, who aborts whatever the driver waits for."""

    def __init__(self, registers: Any) -> None:
        self._registers = registers

    def read(self, offset: int) -> int:
        if offset == Register.STATUS:
            self._registers.write(Register.CONTROL, ControlBit.ABORT.mask)
        return self._registers.read(offset)

    def write(self, offset: int, value: int) -> None:
        self._registers.write(offset, value)


PROVOCATIONS: dict[Error, Callable[[Any, Bench], Any]] = {
    Error.MAGIC: lambda a, _: header(a, Header.MAGIC, 1),
    Error.VERSION: lambda a, _: header(a, Header.VERSION, 1),
    Error.BUILD: lambda a, _: header(a, Header.BUILD_ID, 1),
    Error.TRUNCATED: lambda a, _: header(a, Header.TOTAL, 1 << 30),
    Error.SECTION: lambda a, _: header(a, Header.WEIGHTS, 1 << 28),
    Error.WINDOW: lambda a, _: header(a, Header.OUTPUT_BYTES, 1 << 20),
    Error.READ: lambda _, b: attribute(b.bus, "read_fails", lambda _: True),
    Error.WRITE: lambda _, b: attribute(b.bus, "write_fails", lambda _: True),
    Error.WATCHDOG: silence,
    Error.ALIGNMENT: lambda a, _: misaligned(a),
    Error.ABORTED: lambda a, _: attribute(a, "_registers", Meddler(a._registers)),
    Error.TASK: lambda a, _: fact(a, "tasks", [*a.design["tasks"], a.design["tasks"][0]]),
    Error.LIMIT: lambda a, _: fact(a, "cycle_limit", 100),
}
"""A context for each code, in which an image ends with it."""


@cocotb.test()
async def every_error(dut: Any) -> None:
    """Each code is told with its text, and the next image is right."""
    assert PROVOCATIONS.keys() == set(Error) - {Error.NONE}

    def script(driver: Any, accelerator: Any, bench: Bench) -> None:
        image, _ = stored(accelerator)
        for error, provocation in PROVOCATIONS.items():
            with provocation(accelerator, bench):
                task = accelerator.tasks - 1
                text = f"error {int(error)}: {error_text(error)}"
                refused(driver, lambda task=task: accelerator.run(image, task=task), text)
            check(accelerator, int(error) % 2)

    await drive(dut, script)


@cocotb.test()
async def time_out(dut: Any) -> None:
    """An image that takes too long is aborted, and the next one is right at once."""

    def script(driver: Any, accelerator: Any, bench: Bench) -> None:
        image, outputs = stored(accelerator)
        with pytest.raises(TimeoutError, match=r"^the accelerator must be done within 1e-06 s$"):
            accelerator.run(image, timeout=1e-6)
        assert accelerator._registers.read(Register.ERROR) == Error.ABORTED
        check(accelerator)
        accelerator.start(image)
        refused(driver, lambda: accelerator.start(image), "an image runs")
        np.testing.assert_array_equal(accelerator.wait(), outputs[0])
        with attribute(bench.bus, "frozen", True), attribute(driver, "ABORT_READS", 64):
            accelerator.start(image)
            refused(
                driver,
                lambda: accelerator.wait(timeout=1e-6),
                "the accelerator must stop within 64 reads of status",
            )

    await drive(dut, script)
