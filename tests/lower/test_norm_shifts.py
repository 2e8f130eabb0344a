# SPDX-License-Identifier: Apache-2.0
"""Norm shifts of a program: where they lie, what brings them, what has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.experts import Shape, make
from support.graphs import TINY, images, integer_vit
from support.token_graphs import Tokens, integers

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.lower import Lowered
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.constants import constant_map
from hlsgen.machine.format.norm_shifts import WORD_BYTES
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import Gather, IntegerLayerNorm, LayerNorm
from hlsgen.ops.norm import IntegerNorm
from hlsgen.quantization import quantize

ARRAY = ArrayShape(rows=4, columns=4, depth=4)


def shifted(graph: Graph, *, alike: bool = False) -> Graph:
    """The graph, with random shifts in all norms of whole rows; `alike`: the same in all of a width."""
    random, nodes = np.random.default_rng(3), []
    for node in graph:
        op = node.op
        if isinstance(op, IntegerNorm) and op.heads == 1:
            width = node.type.shape[-1]
            drawn = np.random.default_rng(width) if alike else random
            op = replace(op, shifts=drawn.integers(0, 1 + min(7, op.gain_shift), width))
        nodes.append(replace(node, op=op))
    return replace(graph, nodes=tuple(nodes)).verify()


def _check(lowered: Lowered, graph: Graph, image: np.ndarray, task: int = 0) -> None:
    program = lowered.program
    run = Interpreter(program.parameters, lowered.image.pack()).run(
        program.input.pack(image, program.parameters.columns), task=task
    )
    assert compare(program, run.records, evaluate(graph, image, task), task) is None


@pytest.mark.parametrize("alike", [False, True])
def test_each_norm_has_words_of_its_own_or_those_of_an_equal_one(alike: bool) -> None:
    graph = shifted(integer_vit(TINY), alike=alike)
    lowered = lower(graph, ARRAY)
    norms = [node.name for node in graph if isinstance(node.op, IntegerNorm)]
    bases = [command.norm_shift_base for command in lowered.program.commands if command.norm_width]
    words = lowered.program.parameters.norm_shift_words
    assert words == (1 if alike else len(norms))
    assert sorted(set(bases)) == list(range(1, words + 1))
    brought = constant_map(lowered.image.constants, 4).tables
    assert sum(item.entries for item in brought if item.entries == WORD_BYTES) == words * WORD_BYTES
    _check(lowered, graph, images(TINY, 1)[0])


def test_shifts_come_in_front_of_the_constants_of_what_the_norm_reads() -> None:
    lowered = lower(shifted(integer_vit(TINY)), ARRAY)
    found = constant_map(lowered.image.constants, 4)
    places = [table.at for table in found.tables if table.entries == WORD_BYTES]
    readers = {c.norm_shift_base: c.depends_on for c in reversed(lowered.program.commands) if c.norm_width}
    weighted = [i for i, c in enumerate(lowered.program.commands) if c.constant_words or c.total_blocks]
    offsets = dict(zip(weighted, found.offsets, strict=False))
    for place, (_, maker) in zip(places, sorted(readers.items()), strict=True):
        assert place < offsets[maker]
    assert places[-1] > found.offsets[1]  # not all of them before everything


@pytest.mark.parametrize("kind", ["two_tasks", "experts"])
def test_a_norm_of_some_tasks_finds_its_shifts_in_each(kind: str) -> None:
    if kind == "experts":
        made = make(Shape(experts=3, k=2))
        graph, image = made.graph, made.images[0]
    else:
        graph, image = integers(kind, 5, 16, 2)
    graph = shifted(graph)
    assert any(isinstance(node.op, IntegerNorm) and node.op.shifts is not None for node in graph)
    lowered = lower(graph, ARRAY)
    assert lowered.program.parameters.norm_shift_words
    for task in range(graph.tasks):
        _check(lowered, graph, image, task)


def test_rows_that_are_joined_and_normalised() -> None:
    t = Tokens(4, 8, 1)
    norm = LayerNorm(gamma=np.ones(16), beta=np.zeros(16), eps=1e-5)
    joined = t.add(norm, t.add(Gather(places=np.array([[0, 1], [3, -1]])), t.x))
    float_graph = t.graph.finish(t.linear(joined, 4))
    pictures = np.random.default_rng(1).normal(size=(4, *float_graph.input_type.shape))
    model = quantize(float_graph, pictures)
    graph = shifted(model.graph)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=2))
    (command,) = (command for command in lowered.program.commands if command.norm_shift_base)
    assert command.list_base
    assert command.piece_words < command.k_words
    _check(lowered, graph, model.quantize_input(pictures[:1])[0].astype(np.int64))


def test_a_model_without_shifts_has_no_memory() -> None:
    graph = integer_vit(TINY)
    assert any(isinstance(node.op, IntegerLayerNorm) for node in graph)
    lowered = lower(graph, ARRAY)
    assert lowered.program.parameters.norm_shift_words == 0
    assert not any(command.norm_shift_base for command in lowered.program.commands)
