# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts and tasks: golden = interpreter = C++ = RTL, every tensor, corner routings, stalls."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hlsgen.emit.hls import hls
from hlsgen.errors import UsageError
from hlsgen.ir import evaluate
from hlsgen.lower import Lowered, lower
from hlsgen.lower.size import ArrayShape, joint
from hlsgen.machine.format.commands import Target
from hlsgen.machine.format.interface import REASONS
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.machine.time import cycles
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.plan import Routing
from hlsgen.sim import cosim
from hlsgen.sim.csim import CSim
from tests.support.experts import Made, Shape, make

SMALL = Shape()
N = 10
ROUTINGS = {
    "uneven": make(SMALL),
    "all to one": make(SMALL, [-9.0, 9.0, 0.0, -9.0], gain=0.0),
    "ties": make(SMALL, gain=0.0),
    "empty experts": make(SMALL, [9.0, -9.0, -9.0, 8.0], gain=1.0),
}
SHAPES = {
    "k = E": Shape(experts=3, k=3, tasks=1, convention="renormalised"),
    "sigmoid, three tasks": Shape(experts=5, k=1, tasks=3, convention="sigmoid"),
    "8 experts": Shape(experts=8, k=8, tasks=1),
    "16 experts": Shape(experts=16, k=2, tasks=2, convention="sigmoid"),
    "32 experts": Shape(experts=32, k=5, tasks=1, convention="renormalised"),
    "64 experts": Shape(experts=64, k=3, tasks=1, convention="softmax_topk"),
    "one token": Shape(experts=2, k=1, tasks=2, edge=2, token=False, convention="softmax_all"),
    "two blocks": Shape(experts=2, k=2, blocks=2, edge=4),
}
ARRAYS = ((4, 4, 8), (1, 1, 1), (5, 2, 4))


TOGETHER = (("8 experts", "32 experts", "64 experts"), ("16 experts", "two blocks"))
"""Shapes that share one machine in RTL, which has more experts, memory and choices than some of them need."""


def lowered(
    made: Made,
    array: tuple[int, int, int] = ARRAYS[0],
    ring_bytes: int = 1 << 18,
    machine: MachineParameters | None = None,
) -> Lowered:
    rows, columns, depth = array
    shape = ArrayShape(rows=rows, columns=columns, depth=depth, ring_bytes=ring_bytes)
    return lower(made.graph, shape, machine)


@cache
def shared(names: tuple[str, ...]) -> MachineParameters:
    """The smallest machine that holds all of these shapes."""
    return joint([lowered(make(SHAPES[name])).program.parameters for name in names])


def golden(made: Made, index: int, task: int) -> dict[str, np.ndarray]:
    return dict(evaluate(made.graph, made.images[index], task))


def check(found: Lowered, made: Made, index: int, task: int, output: bytes, records: np.ndarray) -> None:
    values, layout = golden(made, index, task), found.program.outputs[task]
    assert compare(found.program, records, values, task) is None
    np.testing.assert_array_equal(layout.unpack(output, found.program.parameters), values[layout.tensor])


def tokens(made: Made, index: int, task: int) -> list[int]:
    """Of each expert, over all layers."""
    return np.sum(made.loads(golden(made, index, task)), 0).tolist()


def check_counters(found: Lowered, made: Made, index: int, task: int, run: cosim.Run) -> None:
    """What the host reads of each expert: exactly its tokens; waits are a part of all that there are."""
    assert [count for count, _ in run.experts] == padded(found, tokens(made, index, task))
    waits = [count for _, count in run.experts]
    reasons = [reason.title for reason in REASONS if reason.level.startswith("wait")]
    assert sum(waits) <= sum(run.counters[reason] for reason in reasons)
    unused = [wait for count, wait in run.experts if not count]
    assert not any(unused)
    assert len(run.experts) == found.program.parameters.experts


def padded(found: Lowered, counts: list[int]) -> list[int]:
    """Counts of all the machine's experts; the model may have fewer."""
    return counts + [0] * (found.program.parameters.experts - len(counts))


def interpret(made: Made, array: tuple[int, int, int], images: int = 4) -> None:
    found = lowered(made, array)
    machine = Interpreter(found.program.parameters, found.image.pack())
    for index in range(images):
        for task in range(made.graph.tasks):
            pixels = found.program.input.pack(made.images[index], found.program.parameters.columns)
            done = machine.run(pixels, task=task)
            check(found, made, index, task, done.output, done.records)
            assert list(done.expert_tokens) == tokens(made, index, task)


def test_the_routings_are_what_they_are_called() -> None:
    loads = {name: made.loads(golden(made, 0, 0))[0] for name, made in ROUTINGS.items()}
    assert min(loads["uneven"]) > 0
    assert len(set(loads["uneven"])) > 1
    assert loads["all to one"] == [0, N, N, 0]
    assert loads["ties"] == [N, N, 0, 0]
    assert loads["empty experts"] == [N, 0, 0, N]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
@pytest.mark.parametrize("name", ROUTINGS)
def test_interpreter(name: str, array: tuple[int, int, int]) -> None:
    interpret(ROUTINGS[name], array)


@pytest.mark.parametrize("array", ARRAYS, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_interpreter_shapes(name: str, array: tuple[int, int, int]) -> None:
    interpret(make(SHAPES[name]), array)


def few_tokens(count: int) -> Made:
    """Two experts, one choice: expert 1 gets `count` of the first image's tokens."""
    shape = Shape(experts=2, k=1, tasks=1)
    plain = make(shape)
    logits = golden(plain, 0, 0)["blocks_0_moe_router"]
    gaps = np.sort(logits[:, 0] - logits[:, 1])
    scale = plain.graph.type_of("blocks_0_moe_router").scale or 1.0
    edge = float(gaps[count - 1] + gaps[count]) / 2 * scale
    return make(shape, [0.0, edge])


@pytest.mark.parametrize("count", [1, N - 1])
def test_one_token_and_all_but_one(count: int) -> None:
    made = few_tokens(count)
    assert made.loads(golden(made, 0, 0)) == [[N - count, count]]
    for array in ARRAYS:
        interpret(made, array, images=1)


def generated(made: Made, folder: Path, sanitize: bool, found: Lowered | None = None) -> None:
    """Three images of every task in the C++."""
    found = found or lowered(made)
    files = hls(found.program, found.image)
    compiled = CSim(found.program, found.image.pack(), files, folder, tracing=True, sanitize=sanitize)
    for task in range(made.graph.tasks):
        result = compiled.run(made.images[:3], task=task)
        for index in range(3):
            values = golden(made, index, task)
            assert compare(found.program, result.records[index], values, task) is None
            np.testing.assert_array_equal(result.outputs[index], values[found.program.outputs[task].tensor])
            assert result.tokens[index].tolist() == tokens(made, index, task)


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("name", ROUTINGS)
def test_csim(name: str, sanitize: bool, tmp_path: Path) -> None:
    generated(ROUTINGS[name], tmp_path, sanitize)


@pytest.mark.parametrize("name", SHAPES)
def test_csim_shapes(name: str, tmp_path: Path) -> None:
    generated(make(SHAPES[name]), tmp_path, name == "64 experts")


@pytest.mark.parametrize("count", [1, N - 1])
def test_csim_one_token_and_all_but_one(count: int, tmp_path: Path) -> None:
    generated(few_tokens(count), tmp_path, sanitize=True)


def test_csim_where_the_ring_cuts_a_router_into_sweeps(tmp_path: Path) -> None:
    """Every tile's logits of the first group come before any of the second: all of them must be kept."""
    made = make(SHAPES["8 experts"])
    found = lowered(made, (4, 2, 4), ring_bytes=1)
    router = next(command for command in found.program.commands if command.target is Target.QUEUES)
    assert (router.sweeps, router.tiles) == (4, 3)
    generated(made, tmp_path, sanitize=True, found=found)


def simulate(
    made: Made,
    folder: Path,
    array: tuple[int, int, int] = ARRAYS[0],
    machine: MachineParameters | None = None,
) -> None:
    """Consecutive images of different tasks, stalled and not, in the RTL; the cycle model beside it."""
    found = lowered(made, array, machine=machine)
    p = found.program.parameters
    harness = cosim.build(p, folder, trace=True, quick=True)
    inputs = [found.program.input.pack(image, p.columns) for image in made.images[:4]]
    for memory in (cosim.MemoryTiming(latency=4), cosim.MemoryTiming(latency=40, stall=0.4, seed=3)):
        runs = harness.run(found.image.pack(), inputs, memory=memory, task_step=1, watchdog=1 << 14)
        for index, run in enumerate(runs):
            task = index % made.graph.tasks
            assert run.error == 0
            assert run.records is not None
            check(found, made, index, task, run.output, run.records)
            check_counters(found, made, index, task, run)
            if memory.stall:
                continue
            loads = tuple(map(tuple, made.loads(golden(made, index, task))))
            predicted = cycles.predict(
                found.program, found.image, ExternalMemory(latency=4), routing=Routing(task=task, loads=loads)
            )
            # Of these few cycles most are latencies; at full size the model is within 1 %.
            assert abs(predicted.cycles / run.counters["cycles"] - 1) < 0.12
            assert predicted.multiply == run.counters["multiply"]
        queued(found, made, harness.run_queue(found.image.pack(), inputs, memory=memory, task_step=1))


def queued(found: Lowered, made: Made, queue: cosim.QueueRun) -> None:
    """Each image of a queue is for another task; the counters of experts are those of all of them."""
    tasks = [index % made.graph.tasks for index in range(len(queue.runs))]
    assert (queue.whole.error, len(tasks)) == (0, 4)
    for index, (run, task) in enumerate(zip(queue.runs, tasks, strict=True)):
        assert run.records is not None
        check(found, made, index, task, run.output, run.records)
    each = [tokens(made, index, task) for index, task in enumerate(tasks)]
    assert [count for count, _ in queue.whole.experts] == padded(found, np.sum(each, 0).tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("harness")


@pytest.mark.parametrize("name", ROUTINGS)
def test_rtl(name: str, folder: Path) -> None:
    simulate(ROUTINGS[name], folder)


@pytest.mark.parametrize("name", SHAPES)
def test_rtl_shapes(name: str, folder: Path) -> None:
    group = next((names for names in TOGETHER if name in names), None)
    machine = shared(group) if group else None
    simulate(make(SHAPES[name]), folder, ARRAYS[1] if name == "one token" else ARRAYS[0], machine)


@pytest.mark.parametrize("count", [1, N - 1])
def test_rtl_one_token_and_all_but_one(count: int, folder: Path) -> None:
    simulate(few_tokens(count), folder, machine=shared(TOGETHER[0]))


def test_a_task_that_is_none_is_an_error(folder: Path) -> None:
    made = ROUTINGS["uneven"]
    found = lowered(made)
    p = found.program.parameters
    pixels = found.program.input.pack(made.images[0], p.columns)
    harness = cosim.build(p, folder, trace=True, quick=True)
    first, second = harness.run(found.image.pack(), [pixels] * 2, task=0, task_step=1)
    assert (first.error, second.error) == (0, 0)
    with pytest.raises(UsageError, match=r"task must be in 0\.\.1, not 2"):
        Interpreter(p, found.image.pack()).run(pixels, task=2)
