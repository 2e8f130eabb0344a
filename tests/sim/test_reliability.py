# SPDX-License-Identifier: Apache-2.0
"""Faults outside the whole accelerator: an error code in bounded time, and a correct next image."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from support.graphs import TINY, images, integer_vit

from benchmarks import flips
from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.image import HEADER_BYTES, VERSION
from hlsgen.machine.format.interface import Error
from hlsgen.sim import cosim
from hlsgen.sim.cosim import Fault

CALM = cosim.MemoryTiming(latency=64)
STALLED = cosim.MemoryTiming(latency=23, stall=0.4, seed=3)
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

    def run(self, fault: Fault, memory: cosim.MemoryTiming) -> tuple[cosim.Run, cosim.Run]:
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
    # It runs for so many cycles that optimised code pays.
    harness = cosim.build(lowered.program.parameters, tmp_path_factory.mktemp("harness"), trace=True)
    pictures = images(TINY, 2)
    inputs = [lowered.program.input.pack(picture, 2) for picture in pictures]
    return Rig(lowered, harness, inputs, [evaluate(graph, picture) for picture in pictures])


@pytest.fixture(params=[CALM, STALLED], ids=["calm", "stalled"])
def memory(request: pytest.FixtureRequest) -> cosim.MemoryTiming:
    return request.param


def _beats(rig: Rig, memory: cosim.MemoryTiming) -> tuple[int, int, int]:
    """Beats read, beats written and cycles of an image without a fault."""
    run = rig.harness.run(rig.image, rig.inputs[:1], memory=memory)[0]
    assert run.error == 0
    return run.counters["read_beats"], run.counters["write_beats"], run.counters["elapsed"]


@pytest.mark.parametrize("response", [2, 3], ids=["slave-error", "decode-error"])
@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_read_errors(rig: Rig, memory: cosim.MemoryTiming, where: float, response: int) -> None:
    reads, _, _ = _beats(rig, memory)
    first, _ = rig.run(Fault(read_error=round(where * (reads - 1)), response=response), memory)
    assert first.error == Error.READ
    assert 0 < first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("response", [2, 3], ids=["slave-error", "decode-error"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_write_errors(rig: Rig, memory: cosim.MemoryTiming, where: float, response: int) -> None:
    _, writes, _ = _beats(rig, memory)
    first, _ = rig.run(Fault(write_error=round(where * (writes - 1)), response=response), memory)
    assert first.error == Error.WRITE
    assert 0 < first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.95])
def test_abort(rig: Rig, memory: cosim.MemoryTiming, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    first, _ = rig.run(Fault(abort=round(where * elapsed)), memory)
    assert first.error == Error.ABORTED
    assert first.counters["elapsed"] - first.counters["fault"] <= BOUND


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.95])
def test_reset_in_the_middle_of_an_image(rig: Rig, memory: cosim.MemoryTiming, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    first, _ = rig.run(Fault(reset=round(where * elapsed)), memory)
    assert (first.counters["status"], first.error) == (0, 0)  # idle, as after power-up


def _queue(rig: Rig, fault: Fault, memory: cosim.MemoryTiming, error: int) -> cosim.QueueRun:
    """Nine images in the queue, of which every one that was completed is right in every tensor."""
    inputs = [rig.inputs[index % 2] for index in range(9)]
    found = rig.harness.run_queue(
        rig.image, inputs, memory=memory, fault=fault, watchdog=WATCHDOG, limit=1_000_000
    )
    assert found.whole.error == error
    for index, run in enumerate(found.runs):
        cosim.check(rig.lowered.program, run, rig.golden[index % 2])
    return found


def test_many_images_queued(rig: Rig, memory: cosim.MemoryTiming) -> None:
    found = _queue(rig, Fault(), memory, 0)
    assert len(found.runs) == 9
    alone = rig.harness.run(rig.image, rig.inputs, memory=memory)
    assert 0 < found.ends[-1] - found.whole.counters["cycles"] < 4  # from the start to its begin
    if memory is STALLED:
        return
    # The bar is 1 % of an image; reading and checking the next header meanwhile makes more than that good.
    one = alone[0].counters["cycles"]
    assert found.ends[0] <= one + 16  # the next header's read may be in the way of another
    assert (found.ends[-1] - found.ends[0]) / 8 <= one - 100


@pytest.mark.parametrize("where", [0.0, 1.0, 2.5, 3.99])
def test_errors_within_a_queue(rig: Rig, memory: cosim.MemoryTiming, where: float) -> None:
    """The images before the error are complete, those behind it were not begun, and the next run is right."""
    reads, writes, _ = _beats(rig, memory)
    for fault, error in (
        (Fault(read_error=round(where * reads)), Error.READ),
        (Fault(write_error=min(round(where * writes), 4 * writes - 1)), Error.WRITE),
    ):
        found = _queue(rig, fault, memory, error)
        assert abs(len(found.runs) - where) <= 1.1
        assert all(set(output) == {0xEE} for output in found.outputs[len(found.runs) + 1 :])
        again = rig.harness.run_queue(rig.image, rig.inputs, memory=memory)
        assert len(again.runs) == 2


@pytest.mark.parametrize("where", [0.02, 1.01, 1.98, 2.5])
def test_abort_within_a_queue(rig: Rig, memory: cosim.MemoryTiming, where: float) -> None:
    _, _, elapsed = _beats(rig, memory)
    found = _queue(rig, Fault(abort=round(where * elapsed)), memory, Error.ABORTED)
    assert abs(len(found.runs) - where) <= 1.1


def test_a_memory_that_falls_silent(rig: Rig, memory: cosim.MemoryTiming) -> None:
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
def test_wrong_images(rig: Rig, memory: cosim.MemoryTiming, word: int, value: int, error: Error) -> None:
    first, _ = rig.run(Fault(image=_patched(rig.image, word, value)), memory)
    assert first.error == error
    assert first.counters["elapsed"] <= BOUND


def test_a_truncated_image_in_the_register(rig: Rig, memory: cosim.MemoryTiming) -> None:
    for size in (0, HEADER_BYTES - 1, len(rig.image) - 64):
        first, _ = rig.run(Fault(image_bytes=size), memory)
        assert first.error == Error.TRUNCATED
        assert first.counters["elapsed"] <= BOUND


def test_addresses_that_can_not_be(rig: Rig, memory: cosim.MemoryTiming) -> None:
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


def test_the_last_reads_are_waited_for(rig: Rig, memory: cosim.MemoryTiming) -> None:
    """Padding at a section's end is read, but nothing needs it: its answers, too, come before `done`."""
    reads, _, _ = _beats(rig, memory)
    for left in range(1, 13):
        silent, _ = rig.run(Fault(silent=reads - left), memory)
        assert silent.error == Error.WATCHDOG
        assert silent.counters["elapsed"] - silent.counters["fault"] <= 2 * WATCHDOG + BOUND
        failed, _ = rig.run(Fault(read_error=reads - left), memory)
        assert failed.error == Error.READ


def test_a_memory_that_falls_silent_within_a_queue(rig: Rig, memory: cosim.MemoryTiming) -> None:
    reads, _, _ = _beats(rig, memory)
    found = _queue(rig, Fault(silent=round(2.5 * reads)), memory, Error.WATCHDOG)
    assert len(found.runs) == 2


def test_the_limit_bounds_the_whole_image(rig: Rig, memory: cosim.MemoryTiming) -> None:
    plain = rig.harness.run(rig.image, rig.inputs[:1], memory=memory)[0]
    exact, _ = rig.run(Fault(image_limit=plain.counters["cycles"]), memory)
    assert exact.error == 0
    cosim.check(rig.lowered.program, exact, rig.golden[0])
    assert exact.counters == plain.counters
    for limit in (1, 40, plain.counters["cycles"] // 2, plain.counters["cycles"] - 16):
        late, _ = rig.run(Fault(image_limit=limit), memory)
        assert late.error == Error.LIMIT
        assert limit < late.counters["elapsed"] <= limit + BOUND


HUNG = ("tiles", "heads", "readings", "span", "sweeps", "blocks", "extra", "keys", "k_steps", "last")
"""Fields that say how often something is done, `last` that there is an end at all."""


def test_flipped_bits_in_commands(rig: Rig) -> None:
    """Equal, or an error code within the bound, or wrong and caught by the checksum; the next image right."""
    damage = flips.make_rig(rig.lowered, integer_vit(TINY), images(TINY, 1)[0], rig.harness)
    count = len(rig.lowered.program.commands)
    bits = [flips.field_bits(rig.image, at, name)[0] for name in HUNG for at in (0, count // 2, count - 1)]
    bits += [flips.field_bits(rig.image, at, "tiles")[-1] for at in range(count)]
    bits += random.Random(5).sample(flips.command_bits(rig.image), 40)
    tally = damage.run(bits)
    assert tally.met, [flips.describe(rig.image, bit) for bit in tally.unanswered + tally.silent]
    assert tally.errors["limit"] > 0
    assert tally.errors["watchdog"] > 0
    assert tally.equal > 0
    assert tally.caught == tally.wrong > 0
    assert tally.equal + sum(tally.errors.values()) + tally.wrong == len(bits)


def test_flipped_bits_in_the_header(rig: Rig) -> None:
    """Only the sizes of input and output can be wrong alone: hosts know them, and the window bounds them."""
    damage = flips.make_rig(rig.lowered, integer_vit(TINY), images(TINY, 1)[0], rig.harness)
    tally = damage.run(range(8 * HEADER_BYTES))
    assert not tally.unanswered
    assert tally.slowest[0] <= tally.bound
    assert {bit // 32 for bit in tally.silent} <= {13}


def test_keys_and_values_stay_in_the_workspace(rig: Rig) -> None:
    """Commands that store more than there is room for: nothing is written behind the workspace."""
    if not rig.lowered.program.parameters.streamed:
        return
    damage = flips.make_rig(rig.lowered, integer_vit(TINY), images(TINY, 1)[0], rig.harness)
    commands = rig.lowered.program.commands
    stores = [at for at, command in enumerate(commands) if command.target.name in ("KEYS", "VALUES")]
    names = ("tiles", "sweeps", "blocks", "head_words", "heads")
    bits = [bit for at in stores for name in names for bit in flips.field_bits(rig.image, at, name)]
    tally = damage.run(bits)
    assert tally.met
    assert tally.strays == 0
