# SPDX-License-Identifier: Apache-2.0
"""Products of two tensors: golden = RTL, every tensor, stalled and not; the cycle model holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.executions import MEMORIES
from support.program_key_lists import KEY_LISTS
from support.program_windows import WINDOWS
from support.programs import draw, machine
from support.token_graphs import integers, narrowed

from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Command, Product
from hlsgen.machine.format.interface import DRAIN, TILE
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import known
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.ops import Add, IntegerLinear, Linear, Matmul, Patches, Transpose
from hlsgen.quantization.quantized import quantize
from hlsgen.sim import cosim

NARROW = {"narrow_weights": 1}
IMAGE, WIDTH, HEADS = (1, 12, 10), 18, 3
ARRAYS = [
    ArrayShape(rows=4, columns=4, depth=8, row_width=2),
    ArrayShape(rows=5, columns=8, depth=2, bus_bytes=32),
    ArrayShape(rows=4, columns=4, depth=4, row_width=4, bus_bytes=8),
]


SKIPPED = (("two_tasks", 4), ("talking_tasks", 1), ("talking_tasks", 4))
"""Kinds of Graphs with tasks, and row widths."""


def _graph() -> Graph:
    """Q (Kᵀ V) and (Q Kᵀ) V by head, and their sum: 30 tokens, no softmax."""
    random = np.random.default_rng(1)
    graph = GraphBuilder("image", TensorType(IMAGE))

    def linear(name: str, x: str, size: int) -> str:
        width = graph.type_of(x).shape[1]
        weight, bias = random.normal(0, width**-0.5, (size, width)), random.normal(0, 0.2, size)
        return graph.add(name, Linear(weight=weight, bias=bias), [x])

    def product(name: str, a: str, b: str, *, transposed: bool = False) -> str:
        return graph.add(name, Matmul(heads=HEADS, transposed=transposed, scale=0.2), [a, b])

    tokens = linear("tokens", graph.add("patches", Patches(patch=(2, 2), prefix=0), ["image"]), WIDTH)
    q, k, v = (linear(name, tokens, WIDTH) for name in ("q", "k", "v"))
    state = product("state", graph.add("kt", Transpose(heads=HEADS), [k]), v)
    contexts = product("contexts", product("scores", q, k, transposed=True), v)
    both = graph.add("both", Add(), [product("linear_contexts", q, state), contexts])
    return graph.finish(linear("out", both, 7))


@pytest.fixture(scope="module")
def graph() -> Graph:
    images = np.random.default_rng(2).uniform(-2, 2, (4, *IMAGE)).astype(np.float32)
    return quantize(_graph(), images).graph


@pytest.mark.slow
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.rows}x{a.columns}x{a.depth}w{a.row_width}")
def test_every_tensor_equals_golden_and_the_cycle_model_holds(
    graph: Graph, array: ArrayShape, tmp_path: Path
) -> None:
    lowered = lower(graph, array)
    program = lowered.program
    products = {command.product for command in program.commands}
    assert products == {Product.WEIGHTS, Product.KEYS, Product.VALUES}
    pictures = np.random.default_rng(3).integers(-128, 128, (2, *IMAGE))
    inputs = [program.input.pack(picture, array.columns) for picture in pictures]
    harness = cosim.build(program.parameters, tmp_path, trace=True)
    for memory in MEMORIES:
        runs = harness.run(lowered.image.pack(), inputs, memory=memory)
        for picture, run in zip(pictures, runs, strict=True):
            cosim.check(program, run, evaluate(graph, picture))
    for latency in (4, 40):
        run = harness.run(lowered.image.pack(), inputs[:1], memory=cosim.MemoryTiming(latency=latency))[0]
        predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=latency))
        measured = run.counters["cycles"]
        assert abs(predicted.cycles - measured) <= 0.01 * measured, (predicted.cycles, measured, latency)
        assert predicted.multiply == run.counters["multiply"]


@pytest.mark.slow
def test_a_block_of_one_step_takes_a_cycle_with_its_first_constants(tmp_path: Path) -> None:
    """The cycle model has no other time for it."""
    graph, image = integers("relu_attention", 33, 16, 1)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=16, row_width=4, bus_bytes=32))
    program = lowered.program
    (number,) = (
        index
        for index, command in enumerate(program.commands)
        if command.product is Product.KEYS and command.k_steps == 1
    )
    harness = cosim.build(program.parameters, tmp_path, trace=True)
    run = harness.run(lowered.image.pack(), [program.input.pack(image, 4)])[0]
    assert run.records is not None
    first = run.records[(run.records["command"] == number) & (run.records["row"] == 0)]
    cycles_of = np.sort(first["cycle"][first["which"] == DRAIN])
    assert np.diff(cycles_of).tolist() == [1] * (program.commands[number].blocks - 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["norms_by_head", "talking_heads"])
def test_weights_of_4_bits_beside_those_of_8(kind: str, tmp_path: Path) -> None:
    """Layers, groups and walks, of odd and even numbers of steps; the bus brings a word in two cycles."""
    graph, image = integers(kind, 10, 18, 3)
    first, *others = (node for node in graph if isinstance(node.op, IntegerLinear))
    graph = narrowed(graph, but=(first.name, others[-1].name))
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, bus_bytes=8, ring_bytes=512))
    program = lowered.program
    weights = [command for command in program.commands if command.product is Product.WEIGHTS]
    assert {command.narrow for command in weights} == {0, 1}
    assert {command.k_steps % 2 for command in weights if command.narrow} == {0, 1}
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    pixels, golden = program.input.pack(image, 4), evaluate(graph, image)
    for memory in (cosim.MemoryTiming(latency=9), cosim.MemoryTiming(latency=9, stall=0.4, seed=5)):
        (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory)
        cosim.check(program, run, golden)
        if not memory.stall:
            predicted = cycles.predict(program, lowered.image, ExternalMemory(latency=9))
            measured = run.counters["cycles"]
            assert abs(predicted.cycles - measured) <= 0.01 * measured
            assert predicted.multiply == run.counters["multiply"]


def _ordered(commands: tuple[Command, ...], records: np.ndarray) -> list[np.ndarray]:
    """Each stage's records without cycles, word by word."""
    records = known(commands, records)
    records["cycle"] = 0
    stages = (records[records["which"] == which] for which in (TILE, DRAIN))
    names = ("word", "row", "head", "kind", "command")
    return [each[np.lexsort([each[name] for name in names])] for each in stages]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "more"),
    [
        ((3, 4, 2), NARROW | {"activation_bits": 9}),
        ((3, 4, 2), WINDOWS),
        ((5, 8, 1), WINDOWS),
        ((1, 1, 1), NARROW | {"numerator_digits": 2}),
        ((3, 4, 2), KEY_LISTS),
    ],
    ids=lambda s: "x".join(map(str, s)),
)
def test_random_programs_equal_the_interpreter(
    shape: tuple[int, ...], more: dict[str, int], tmp_path: Path
) -> None:
    """Every record and the output of 400 commands, while the memory stalls and does not.

    The Programs read rows from any word on, and a head's keys from any: machines of row width 1 can do that
    where no step is more than a word. Others need whole groups and whole steps, as lowering makes them.
    """
    parameters = machine(*shape, **more)
    harness = cosim.build(parameters, tmp_path, trace=True)
    for seed in range(4):
        program, image, pixels = draw(parameters, seed, count=100)
        expected = Interpreter(parameters, image.pack()).run(pixels)
        wanted = _ordered(program.commands, expected.records)
        for stall in (0.0, 0.4):
            memory = cosim.MemoryTiming(latency=9, stall=stall, seed=seed + 1)
            run = harness.run(image.pack(), [pixels], memory=memory)[0]
            assert run.error == 0
            assert run.records is not None
            for got, want in zip(_ordered(program.commands, run.records), wanted, strict=True):
                np.testing.assert_array_equal(got, want)
            assert run.output == expected.output


@pytest.mark.parametrize("row_width", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_scores_that_are_mixed_from_maps(row_width: int, tmp_path: Path) -> None:
    """Heads' weights stay in the ring while contexts, which take none, come between their tiles."""
    graph, image = integers("talking_heads", 9, 16, 2)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=row_width, ring_bytes=512))
    program = lowered.program
    assert {Product.MAPS, Product.KEYS} < {command.product for command in program.commands}
    harness = cosim.build(program.parameters, tmp_path, trace=True)
    inputs, golden = [program.input.pack(image, 4)], evaluate(graph, image)
    for memory in MEMORIES:
        cosim.check(program, harness.run(lowered.image.pack(), inputs, memory=memory)[0], golden)


@pytest.mark.parametrize(
    ("kind", "row_width"),
    [("two_tasks", 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in SKIPPED)],
)
def test_tasks_skip_products(kind: str, row_width: int, tmp_path: Path) -> None:
    """A machine that may skip commands finds the constants of its products; weights only of maps."""
    graph, image = integers(kind, 5, 16, 2)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=row_width, ring_bytes=512))
    program = lowered.program
    harness = cosim.build(program.parameters, tmp_path, trace=True, quick=True)
    pixels = program.input.pack(image, 4)
    for task in range(graph.tasks):
        for memory in (cosim.MemoryTiming(latency=30), cosim.MemoryTiming(latency=9, stall=0.4)):
            (run,) = harness.run(lowered.image.pack(), [pixels], memory=memory, task=task)
            cosim.check(program, run, evaluate(graph, image, task), task)
