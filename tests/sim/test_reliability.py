# SPDX-License-Identifier: Apache-2.0
"""Faults outside the whole accelerator: an error code in bounded time, and a correct next image."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from support.graphs import TINY, images, integer_vit

from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.image import HEADER_BYTES, VERSION
from hlsgen.rtl.header import Error
from hlsgen.sim import cosim
from hlsgen.sim.cosim import Fault

CALM = cosim.Memory(latency=64)
STALLED = cosim.Memory(latency=23, stall=0.4, seed=3)
WATCHDOG = 3000
BOUND = 1024
"""Cycles from a fault to the error code: what is under way (128 beats) comes back first, however slowly."""


@dataclass(frozen=True)
class Rig:
    """A built accelerator, two inputs and their golden tensors."""

    lowered: Lowered
    harness: cosim.Harness
    inputs: list[bytes]
    golden: list[Mapping[str, np.ndarray]]

    @property
    def image(self) -> bytes:
        return self.lowered.image.pack()

    def run(self, fault: Fault, memory: cosim.Memory) -> tuple[cosim.Run, cosim.Run]:
        """The faulty image and the one after it, whose every tensor must be right."""
        first, second = self.harness.run(
            self.image, self.inputs, memory=memory, fault=fault, watchdog=WATCHDOG, limit=100_000
        )
        cosim.check(self.lowered.program, second, self.golden[1])
        return first, second


@pytest.fixture(scope="module", params=[False, True], ids=["resident", "streamed"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    graph = integer_vit(TINY)
    lowered = lower(graph, ArrayShape(rows=2, columns=2, depth=2, bus_bytes=8, streamed=request.param))
    harness = cosim.build(lowered.program.parameters, tmp_path_factory.mktemp("harness"), trace=True)
    pictures = images(TINY, 2)
    inputs = [lowered.program.input.pack(picture, 2) for picture in pictures]
    return Rig(lowered, harness, inputs, [evaluate(graph, picture) for picture in pictures])


@pytest.fixture(params=[CALM, STALLED], ids=["calm", "stalled"])
def memory(request: pytest.FixtureRequest) -> cosim.Memory:
    return request.param


def _beats(rig: Rig, memory: cosim.Memory) -> tuple[int, int, int]:
    """Beats read, beats written and cycles of an image without a fault."""
    run = rig.harness.run(rig.image, rig.inputs[:1], memory=memory)[0]
    assert run.error == 0
    return run.counters["read_beats"], run.counters["write_beats"], run.counters["elapsed"]


@pytest.mark.parametrize("response", [2, 3], ids=["slave-error", "decode-error"])
@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_read_errors(rig: Rig, memory: cosim.Memory, where: float, response: int) -> None:
    reads, _, _ = _beats(rig, memory)
    first, _ = rig.run(Fault(read_error=round(where * (reads - 1)), response=response), memory)
    assert first.error == Error.READ
    assert 0 < first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("response", [2, 3], ids=["slave-error", "decode-error"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_write_errors(rig: Rig, memory: cosim.Memory, where: float, response: int) -> None:
    _, writes, _ = _beats(rig, memory)
    first, _ = rig.run(Fault(write_error=round(where * (writes - 1)), response=response), memory)
    assert first.error == Error.WRITE
    assert 0 < first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.95])
def test_abort(rig: Rig, memory: cosim.Memory, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    first, _ = rig.run(Fault(abort=round(where * elapsed)), memory)
    assert first.error == Error.ABORTED
    assert first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.95])
def test_reset_in_the_middle_of_an_image(rig: Rig, memory: cosim.Memory, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    first, _ = rig.run(Fault(reset=round(where * elapsed)), memory)
    assert (first.counters["status"], first.error) == (0, 0)  # idle, as after power-up


@pytest.mark.parametrize("where", [0.02, 0.5, 0.95])
def test_a_start_while_busy_is_ignored_and_shown(rig: Rig, memory: cosim.Memory, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    first, second = rig.run(Fault(restart=round(where * elapsed)), memory)
    assert first.counters["status"] == 2 | 8  # done, ignored
    cosim.check(rig.lowered.program, first, rig.golden[0])
    assert second.counters["status"] == 2


def test_a_memory_that_falls_silent(rig: Rig, memory: cosim.Memory) -> None:
    reads, _, _ = _beats(rig, memory)
    first, _ = rig.run(Fault(silent=reads // 2), memory)
    assert first.error == Error.WATCHDOG
    # Once for the lack of progress, once more for the reads that never come back.
    assert first.counters["elapsed"] - first.counters["fault"] <= 2 * WATCHDOG + BOUND


def _patched(image: bytes, word: int, value: int) -> bytes:
    data = bytearray(image)
    struct.pack_into("<I", data, 4 * word, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("word", "value", "error"),
    [
        (0, 0x12345678, Error.MAGIC),
        (1, VERSION - 1, Error.VERSION),
        (2, 0xDEADBEEF, Error.BUILD),
        (3, 1 << 30, Error.TRUNCATED),
        (8, 1 << 28, Error.SECTION),
    ],
    ids=["magic", "version", "foreign", "truncated", "section"],
)
def test_wrong_images(rig: Rig, memory: cosim.Memory, word: int, value: int, error: Error) -> None:
    first, _ = rig.run(Fault(image=_patched(rig.image, word, value)), memory)
    assert first.error == error
    assert first.counters["elapsed"] <= BOUND


def test_a_truncated_image_in_the_register(rig: Rig, memory: cosim.Memory) -> None:
    for size in (0, HEADER_BYTES - 1, len(rig.image) - 64):
        first, _ = rig.run(Fault(image_bytes=size), memory)
        assert first.error == Error.TRUNCATED
        assert first.counters["elapsed"] <= BOUND


def test_addresses_that_can_not_be(rig: Rig, memory: cosim.Memory) -> None:
    misaligned, _ = rig.run(Fault(image_offset=4), memory)
    assert misaligned.error == Error.ALIGNMENT
    below, _ = rig.run(Fault(image_offset=-64, window_bytes=1 << 31), memory)
    assert below.error == Error.WINDOW
    outside, _ = rig.run(Fault(window_bytes=64), memory)
    assert outside.error == Error.WINDOW
    # The Image lies in the window, the input does not: nothing of it is read.
    far, _ = rig.run(Fault(window_bytes=(len(rig.image) + 63) // 64 * 64), memory)
    assert far.error == Error.WINDOW
    assert far.counters["write_beats"] == 0
    for run in (misaligned, below, outside, far):
        assert run.counters["elapsed"] <= BOUND
