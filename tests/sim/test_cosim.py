# SPDX-License-Identifier: Apache-2.0
"""Golden = RTL, every tensor, whole models through the C++ harness, stalled and not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import AWKWARD, DIGITS, DISTILLED, MIXED, RMS, TINY, Vit, images, integer_vit

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.fixed import fixed_machine
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ON_CHIP, ExternalMemory
from hlsgen.sim import cosim

CALM = cosim.MemoryTiming(latency=4)
STALLED = cosim.MemoryTiming(latency=23, stall=0.4, seed=7)
MODELS = {
    "digits": DIGITS,
    "awkward": AWKWARD,
    "tiny": TINY,
    "distilled": DISTILLED,
    "rms": RMS,
}
# Every relation of columns to depth and of tokens to rows, and a bus narrower and wider than a word.
CASES = [
    ("digits", ArrayShape(rows=4, columns=4, depth=8)),
    ("awkward", ArrayShape(rows=4, columns=4, depth=8, bus_bytes=8)),
    ("awkward", ArrayShape(rows=3, columns=8, depth=2, bus_bytes=32, ring_bytes=512)),
    ("tiny", ArrayShape(rows=1, columns=1, depth=1, bus_bytes=4)),
    ("distilled", ArrayShape(rows=4, columns=4, depth=8, ring_bytes=1024)),
    ("digits", ArrayShape(rows=5, columns=2, depth=8, bus_bytes=64, ring_bytes=1024)),
    ("digits", ArrayShape(rows=4, columns=4, depth=8, row_width=2)),
    ("awkward", ArrayShape(rows=6, columns=8, depth=2, bus_bytes=32, ring_bytes=512, row_width=2)),
    ("awkward", ArrayShape(rows=4, columns=4, depth=8, bus_bytes=32, row_width=4)),
    ("awkward", ArrayShape(rows=4, columns=4, depth=8, bus_bytes=8, streamed=True, span=1)),
    ("digits", ArrayShape(rows=5, columns=2, depth=8, bus_bytes=64, ring_bytes=1024, streamed=True, span=2)),
    ("awkward", ArrayShape(rows=6, columns=8, depth=2, bus_bytes=32, row_width=2, streamed=True)),
    ("rms", ArrayShape(rows=4, columns=4, depth=8, row_width=2)),
]


def _name(array: ArrayShape) -> str:
    streamed = f"s{array.span}" if array.streamed else ""
    return f"{array.rows}x{array.columns}x{array.depth}w{array.row_width}{streamed}"


def _inputs(lowered: Lowered, model: Vit, count: int) -> tuple[np.ndarray, list[bytes]]:
    pictures = images(model, count)
    columns = lowered.program.parameters.columns
    return pictures, [lowered.program.input.pack(picture, columns) for picture in pictures]


def _check_tensors(
    harness: cosim.Harness, lowered: Lowered, graph: Graph, pictures: np.ndarray, inputs: list[bytes]
) -> None:
    """Every tensor of every picture equals golden, stalled and not."""
    for memory in (CALM, STALLED):
        runs = harness.run(lowered.image.pack(), inputs, memory=memory)
        for picture, run in zip(pictures, runs, strict=True):
            cosim.check(lowered.program, run, evaluate(graph, picture))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where harnesses are built: those of equal machines once."""
    return tmp_path_factory.mktemp("harness")


def test_layer_norms_and_rms_norms_in_one_model(folder: Path) -> None:
    graph = integer_vit(MIXED)
    lowered = lower(graph, ArrayShape(rows=3, columns=4, depth=4, bus_bytes=8))
    kinds = {command.norm_rms for command in lowered.program.commands if command.norm_width}
    assert kinds == {0, 1}
    harness = cosim.build(lowered.program.parameters, folder, trace=True, quick=True)
    _check_tensors(harness, lowered, graph, *_inputs(lowered, MIXED, 3))


@pytest.mark.parametrize(
    ("name", "array"),
    CASES,
    ids=lambda v: v if isinstance(v, str) else _name(v),
)
def test_every_tensor_equals_golden_and_the_cycle_model_holds(
    name: str, array: ArrayShape, folder: Path
) -> None:
    model = MODELS[name]
    graph = integer_vit(model)
    lowered = lower(graph, array)
    program = lowered.program
    harness = cosim.build(program.parameters, folder, trace=True, quick=True)
    pictures, inputs = _inputs(lowered, model, 3)
    _check_tensors(harness, lowered, graph, pictures, inputs)
    for latency in (4, 40):
        run = harness.run(lowered.image.pack(), inputs[:1], memory=cosim.MemoryTiming(latency=latency))[0]
        predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=latency))
        measured = run.counters["cycles"]
        within = (0.02 if array.streamed else 0.01) * measured
        assert abs(predicted.cycles - measured) <= within, (predicted.cycles, measured, latency)
        assert predicted.multiply == run.counters["multiply"]


@pytest.mark.parametrize(
    ("name", "array"),
    [CASES[0], CASES[2], CASES[3], CASES[4], CASES[8]],
    ids=lambda v: v if isinstance(v, str) else _name(v),
)
def test_a_machine_for_one_program_is_narrower_and_equal(name: str, array: ArrayShape, folder: Path) -> None:
    """Cycle for cycle, and with the same build id: the Image is the same."""
    model = MODELS[name]
    graph = integer_vit(model)
    lowered = lower(graph, array)
    fixed, general = fixed_machine(lowered.program), lowered.program.parameters
    assert fixed != general
    assert fixed.build_id == general.build_id
    assert sum(fixed.field_bits.values()) < sum(general.field_bits.values()) // 3
    pictures, inputs = _inputs(lowered, model, 2)
    harnesses = [cosim.build(each, folder, trace=True, quick=True) for each in (fixed, general)]
    found = [harness.run(lowered.image.pack(), inputs, memory=STALLED) for harness in harnesses]
    for picture, run, other in zip(pictures, *found, strict=True):
        cosim.check(lowered.program, run, evaluate(graph, picture))
        assert run.counters == other.counters


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("digits", ArrayShape(rows=4, columns=4, depth=8)),
        ("awkward", ArrayShape(rows=3, columns=2, depth=16, bus_bytes=32)),
    ],
    ids=lambda v: v if isinstance(v, str) else _name(v),
)
def test_packed_products_equal_golden(name: str, array: ArrayShape, folder: Path) -> None:
    model = MODELS[name]
    graph = integer_vit(model)
    lowered = lower(graph, array)
    harness = cosim.build(lowered.program.parameters, folder, target="xilinx", trace=True, quick=True)
    pictures, inputs = _inputs(lowered, model, 2)
    for memory in (CALM, STALLED):
        for picture, run in zip(
            pictures, harness.run(lowered.image.pack(), inputs, memory=memory), strict=True
        ):
            cosim.check(lowered.program, run, evaluate(graph, picture))
    run = harness.run(lowered.image.pack(), inputs[:1], memory=CALM)[0]
    predicted = cycles.predict(lowered.program, lowered.image, ExternalMemory(latency=4))
    assert abs(predicted.cycles - run.counters["cycles"]) <= 0.01 * run.counters["cycles"]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("digits", ArrayShape(rows=4, columns=4, depth=8, bus_bytes=8)),
        ("awkward", ArrayShape(rows=8, columns=4, depth=4, bus_bytes=4)),
        ("digits", ArrayShape(rows=16, columns=4, depth=8, bus_bytes=16, ring_bytes=1024, row_width=2)),
    ],
    ids=lambda v: v if isinstance(v, str) else _name(v),
)
def test_a_machine_in_front_of_a_memory_on_the_chip(name: str, array: ArrayShape, folder: Path) -> None:
    """Short bursts and shallow buffers: every tensor, and the cycle model knows them."""
    model = MODELS[name]
    graph = integer_vit(model)
    lowered = lower(graph, array)
    program = lowered.program
    harness = cosim.build(program.parameters, folder, trace=True, near=True, quick=True)
    pictures, inputs = _inputs(lowered, model, 2)
    for memory in (CALM, STALLED):
        for picture, run in zip(
            pictures, harness.run(lowered.image.pack(), inputs, memory=memory), strict=True
        ):
            cosim.check(program, run, evaluate(graph, picture))
    for latency in (4, ON_CHIP.latency, 12):
        run = harness.run(lowered.image.pack(), inputs[:1], memory=cosim.MemoryTiming(latency=latency))[0]
        predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=latency, near=True))
        measured = run.counters["cycles"]
        assert abs(predicted.cycles - measured) <= 0.02 * measured, (predicted.cycles, measured, latency)
        assert predicted.multiply == run.counters["multiply"]
