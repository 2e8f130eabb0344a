# SPDX-License-Identifier: Apache-2.0
"""Attention in parts: every query is in one, sees its keys, and the parts cost no more than one command."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.token_graphs import Tokens

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.layout import Layout
from hlsgen.lower.part import Part
from hlsgen.lower.parts import attention_parts
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.step import AttentionStep
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare, rebuild
from hlsgen.machine.time.cycles import predict
from hlsgen.numerics import HIDDEN
from hlsgen.ops import Context, Scores, Softmax
from hlsgen.quantization import quantize

HEADS, QUERIES, KEYS = 3, 29, 37
ARRAY = ArrayShape(rows=4, columns=4, depth=8)
LAYOUTS = dict.fromkeys("qkv", Layout.headed(8, 4, 8, HEADS))


def _step(addends: np.ndarray | None) -> AttentionStep:
    """A step that has no more than its parts need."""
    names = {"scores": ("q", "k"), "exp": ("scores",), "context": ("exp", "v")}
    nodes: dict[str, Any] = {}
    for name, inputs in names.items():
        kind = dataclasses.make_dataclass("T", ["shape"])((HEADS, QUERIES, KEYS))
        op = dataclasses.make_dataclass("O", ["addends", "shared"])(addends, 0)
        nodes[name] = dataclasses.make_dataclass("N", ["name", "inputs", "type", "op"])(
            name, inputs, kind, op
        )
    return AttentionStep(**nodes)


def _parts(seen: np.ndarray, array: ArrayShape = ARRAY) -> tuple[Part, ...]:
    addends = np.where(np.broadcast_to(seen, (HEADS, QUERIES, KEYS)), 0, HIDDEN)
    return attention_parts(_step(addends), array, LAYOUTS)


ROW, COLUMN = np.arange(QUERIES)[:, None], np.arange(KEYS)
PATTERNS = {
    "causal": COLUMN <= ROW,
    "band": abs(ROW - COLUMN) < 3,
    "windows": ROW // 7 == COLUMN // 9,
    "prefix": (COLUMN < 5) | (COLUMN <= ROW),
    "none": (COLUMN < 0) & (ROW < 0),
    "one": COLUMN == 36 - ROW,
    "by head": np.stack([COLUMN <= ROW, COLUMN <= ROW, COLUMN > ROW]),
}


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("name", PATTERNS)
def test_every_score_that_counts_is_in_a_part(name: str, width: int) -> None:
    array = dataclasses.replace(ARRAY, row_width=width)
    parts = _parts(PATTERNS[name], array)
    count, read = np.zeros((HEADS, QUERIES), int), np.zeros((HEADS, QUERIES, KEYS), bool)
    for part in parts:
        rows = slice(*part.rows(array.rows, QUERIES))
        count[slice(*part.heads), rows] += 1
        read[slice(*part.heads), rows, slice(*part.keys)] = True
        assert part.keys[0] % 8 == 0
        assert part.keys[1] % 8 == 0 or part.keys[1] == KEYS
        assert part.keys[0] < part.keys[1]
    assert (count == 1).all()
    assert read[np.broadcast_to(PATTERNS[name], read.shape)].all()


def test_what_hides_nothing_is_one_command() -> None:
    whole = Part((0, HEADS), (0, 8), (0, KEYS))
    assert _parts(COLUMN >= 0) == (whole,)
    assert attention_parts(_step(None), ARRAY, LAYOUTS) == (whole,)


def _attention(tokens: int, seen: np.ndarray) -> tuple[Graph, np.ndarray]:
    """Attention of two heads under a mask, in integers, and an image."""
    t = Tokens(tokens, 32, 2)
    q, k, v = t.projections()
    value = np.broadcast_to(np.where(seen, 0.0, -np.inf), (2, tokens, tokens)).copy()
    scores = t.add(Scores(heads=2, scale=0.2, bias=value), q, k)
    graph = t.graph.finish(t.linear(t.add(Context(), t.add(Softmax(), scores), v), 3))
    images = np.random.default_rng(2).normal(size=(4, *graph.input_type.shape))
    model = quantize(graph, images)
    return model.graph, model.quantize_input(images[:1])[0].astype(np.int64)


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
@pytest.mark.parametrize(("name", "most"), [("causal", 0.75), ("band", 0.35)])
def test_keys_that_no_query_sees_cost_no_cycle(name: str, most: float) -> None:
    """Attention's own cycles beside those of all keys, with tensors equal in all elements."""
    i = np.arange(160)
    seen = {"causal": i <= i[:, None], "band": abs(i - i[:, None]) < 8}[name]
    array, spent = ArrayShape(rows=8, columns=8, depth=8), []
    for mask in (seen, seen | True):
        graph, image = _attention(160, mask)
        lowered = lower(graph, array)
        program = lowered.program
        if mask is seen:
            run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 8))
            golden = evaluate(graph, image)
            assert compare(program, run.records, golden) is None
            contexts = rebuild(program, run.records)["context"]
            np.testing.assert_array_equal(contexts, golden["context"])
        attends = {index for index, command in enumerate(program.commands) if command.heads and command.keys}
        jobs = [job for job in predict(program, lowered.image).jobs if job.command in attends]
        spent.append(max(job.drain_end for job in jobs) - min(job.multiply_start for job in jobs))
    assert spent[0] <= most * spent[1]
