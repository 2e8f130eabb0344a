# SPDX-License-Identifier: Apache-2.0
"""Run lists of a program: where they lie, who reads them, what has none."""

from __future__ import annotations

import numpy as np
import pytest
from support.token_graphs import Tokens, integers

from hlsgen.errors import UnsupportedModel
from hlsgen.ir import evaluate
from hlsgen.lower import lower
from hlsgen.lower.legalise.expand import expand
from hlsgen.lower.lists import MOST_BYTES
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Depends
from hlsgen.machine.format.constants import HEADER, Item
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import Add, Gather, IntegerConstant, LayerNorm, Mean, Select
from hlsgen.quantization import quantize

ARRAY = ArrayShape(rows=4, columns=4, depth=4)


def _quantized(t: Tokens, out: str) -> tuple:
    graph = t.graph.finish(out)
    images = np.random.default_rng(1).normal(size=(4, *graph.input_type.shape))
    model = quantize(graph, images)
    return model.graph, model.quantize_input(images[:1])[0].astype(np.int64)


def test_equal_lists_are_there_once_and_before_everything() -> None:
    t = Tokens(12, 8, 1)
    order = np.random.default_rng(2).permutation(12)[:, None]
    x = t.x
    for _ in range(3):
        x = t.linear(t.add(Gather(places=order), t.linear(x, 8)), 8)
    graph, image = _quantized(t, x)
    lowered = lower(graph, ARRAY)
    readers = [command for command in lowered.program.commands if command.list_base]
    assert [command.list_base for command in readers] == [1, 1, 1]
    assert all(command.depends is Depends.COMMAND for command in readers)
    kind, _, place, count, _ = HEADER.unpack_from(lowered.image.constants)
    assert (kind, place, count) == (Item.RUN_LIST, 0, 8 * lowered.program.parameters.list_words)
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(image, 4)
    )
    assert compare(lowered.program, run.records, evaluate(graph, image)) is None


def test_long_lists_take_several_items() -> None:
    t = Tokens(3, 4, 1)
    order = np.random.default_rng(3).integers(0, 3, (MOST_BYTES // 4, 1))
    graph, _ = _quantized(t, t.linear(t.add(Gather(places=order), t.linear(t.x, 4)), 4))
    lowered = lower(graph, ARRAY)
    assert lowered.program.parameters.list_words > MOST_BYTES // 8 // 2
    run = Interpreter(lowered.program.parameters, lowered.image.pack())
    assert run.commands[-1].list_base == 1


def test_gathers_and_selections_become_one() -> None:
    t = Tokens(9, 8, 1)
    first = np.array([[3, 1], [-1, 8], [0, 0], [5, 2]])
    x = t.add(Gather(places=first), t.add(Select(start=0, stop=9), t.linear(t.x, 8)))
    x = t.add(Gather(places=np.array([[2], [-1]])), t.add(Select(start=1, stop=4), x))
    graph, image = _quantized(t, t.linear(x, 4))
    (gather,) = (node for node in expand(graph) if node.name == "gather_2")
    assert gather.op.places.tolist() == [[5, 2], [-1, -1]]  # type: ignore[attr-defined]
    lowered = lower(graph, ARRAY)
    assert sum(command.list_base > 0 for command in lowered.program.commands) == 1
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(image, 4)
    )
    assert compare(lowered.program, run.records, evaluate(graph, image)) is None


def test_rows_that_are_joined_and_normalised_fill_words() -> None:
    t = Tokens(4, 6, 1)
    norm = LayerNorm(gamma=np.ones(12), beta=np.zeros(12), eps=1e-5)
    joined = t.add(norm, t.add(Gather(places=np.array([[0, 1], [2, 3]])), t.x))
    graph, _ = _quantized(t, t.linear(joined, 4))
    with pytest.raises(UnsupportedModel, match="rows of 6 elements, which are joined and normalised, must"):
        lower(graph, ARRAY)
    lower(graph, ArrayShape(rows=4, columns=2, depth=4))


def test_a_model_without_other_orders_has_no_lists() -> None:
    graph, _ = integers("mixer", 9, 16, 2)
    assert any(isinstance(node.op, IntegerConstant) for node in expand(graph))
    lowered = lower(graph, ARRAY)
    assert lowered.program.parameters.list_words == 0
    assert not any(command.list_base for command in lowered.program.commands)


def test_what_a_norm_reads_may_be_selected_or_a_mean() -> None:
    """The gather goes before norm and selection; where LOAD makes what the norm reads, behind a copy."""
    t = Tokens(9, 8, 1)
    norm = LayerNorm(gamma=np.ones(8), beta=np.zeros(8), eps=1e-5)
    order = Gather(places=np.array([[2], [0], [1]]))
    first = t.add(order, t.add(norm, t.add(Select(start=3, stop=8), t.x)))
    pooled = t.add(Gather(places=np.zeros((3, 1), np.int64)), t.add(norm, t.add(Mean(), t.x)))
    both = t.add(Add(), t.linear(first, 8), t.linear(pooled, 8))
    graph, image = _quantized(t, t.linear(both, 4))
    (rows,) = (node for node in expand(graph) if isinstance(node.op, Gather) and len(node.op.places) == 3
               and node.op.places.max() > 0)  # fmt: skip
    assert rows.op.places.ravel().tolist() == [5, 3, 4]  # type: ignore[attr-defined]
    lowered = lower(graph, ARRAY)
    run = Interpreter(lowered.program.parameters, lowered.image.pack()).run(
        lowered.program.input.pack(image, 4)
    )
    assert compare(lowered.program, run.records, evaluate(graph, image)) is None
