# SPDX-License-Identifier: Apache-2.0
"""Golden between the passes of lowering, and behind all of them: every tensor is the source Graph's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import Lowered
from hlsgen.lower.passes import State, run
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.commands import Target
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter

APART = (Target.KEYS, Target.VALUES)


def watched(graph: Graph, image: np.ndarray, row_width: int = 1) -> dict[str, int]:
    """Run the passes; behind each one, for each task, hold every tensor against the source Graph's.

    Returns how many tensors were compared behind each pass.
    """
    golden = [evaluate(graph, image, task) for task in range(graph.tasks)]
    counts: dict[str, int] = {}

    def watch(name: str, state: State) -> None:
        for task, wanted in enumerate(golden):
            found = computed(state, image, task, ordered=name == "order")
            same = wanted.keys() & found.keys()
            for tensor in same:
                np.testing.assert_array_equal(found[tensor], wanted[tensor], f"{name}: %{tensor}")
            assert same >= set(graph.for_task(task).outputs)
            counts[name] = counts.get(name, 0) + len(same)

    run(graph, row_width, watch)
    return counts


def computed(state: State, image: np.ndarray, task: int, *, ordered: bool) -> dict[str, np.ndarray]:
    """Every tensor of a state: of its Graph, or of its steps, once it has some."""
    if not state.steps:
        return dict(evaluate(state.graph, image, task))
    return _by_steps(list(state.steps), state.graph, image.astype(np.int64), task, ordered=ordered)


class _Memory:
    """Tensors in memory; keys and values of one product at a time, where `apart`."""

    def __init__(self, name: str, value: np.ndarray, *, apart: bool) -> None:
        self.tensors, self.apart = {name: value}, apart
        self._places: dict[Target, str] = {}

    def store(self, step: Step, value: np.ndarray) -> None:
        if self.apart and isinstance(step, LinearStep) and step.target in APART:
            self.tensors.pop(self._places.get(step.target, ""), None)
            self._places[step.target] = step.result
        self.tensors[step.result] = value


def _by_steps(
    steps: list[Step], graph: Graph, image: np.ndarray, task: int, *, ordered: bool
) -> dict[str, np.ndarray]:
    """Golden step by step: a step has its own nodes and what is in memory, nothing else.

    Not `ordered`, a step waits until what it reads is there. Else there is one place for keys and one for
    values, as in the machine.
    """
    graph = graph.for_task(task)
    nodes = {node.name: node for node in graph}
    memory, shown = _Memory(graph.input, image, apart=ordered), {graph.input: image}
    waiting = _merged([step for step in steps if not step.tasks or step.tasks >> task & 1])
    while waiting:
        ready = (unit for unit in waiting if _reads(unit, nodes) <= memory.tensors.keys())
        unit = waiting[0] if ordered else next(ready)
        waiting.remove(unit)
        values = {name: memory.tensors[name] for name in _reads(unit, nodes)}
        for name in dict.fromkeys(node.name for step in unit for node in step.nodes if node.name in nodes):
            values[name] = nodes[name].op.golden(*(values[each] for each in nodes[name].inputs))
        shown |= values
        if unit[-1].result in values:
            memory.store(unit[-1], values[unit[-1].result])
    return shown


def _merged(steps: list[Step]) -> list[list[Step]]:
    """The steps, those of a mixture of experts together: golden has them as one."""
    found: dict[object, list[Step]] = {}
    for step in steps:
        route = step.route if isinstance(step, LinearStep) else None
        found.setdefault(route.name if route else id(step), []).append(step)
    return list(found.values())


def _reads(unit: list[Step], nodes: Mapping[str, object]) -> set[str]:
    """What the nodes of a unit read that it does not make itself."""
    own = {node.name for step in unit for node in step.nodes}
    read = {name for step in unit for node in step.nodes if node.name in nodes for name in node.inputs}
    return read - own


def interpreted(graph: Graph, image: np.ndarray, array: ArrayShape) -> Lowered:
    """Lower a graph and run it: every tensor that the trace shows, and every output, is golden's."""
    lowered = Sizer(graph).lower(array)
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    for task in range(graph.tasks):
        golden = evaluate(graph, image, task)
        done = machine.run(program.input.pack(image, array.columns), task=task)
        assert trace.compare(program, done.records, golden, task) is None
        outputs = program.unpack_outputs(done.output, task)
        for layout, value in zip(program.results(task), outputs, strict=True):
            np.testing.assert_array_equal(value, golden[layout.tensor])
    return lowered
