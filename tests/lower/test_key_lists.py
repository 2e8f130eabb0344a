# SPDX-License-Identifier: Apache-2.0
"""Attention by key lists: each tile reads what its queries see, no more, and equals dense attention."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.token_graphs import Tokens, integers

from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.masks import draw_mask
from hlsgen.ir import Graph, GraphBuilder, evaluate
from hlsgen.lower import lower
from hlsgen.lower.key_lists import MOST_KEPT, even_runs, list_parts, seen_units
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare, rebuild
from hlsgen.machine.time.cycles import predict
from hlsgen.numerics import HIDDEN
from hlsgen.ops import Context, IntegerScores, Scores, Softmax
from hlsgen.quantization import QuantizeConfig, quantize

ARRAY = ArrayShape(rows=4, columns=4, depth=8, row_width=2)
UNIT = 8


def _strided(tokens: int) -> np.ndarray:
    """The first part, the own one, and every fifth one before it."""
    part = np.arange(tokens) // UNIT
    back = part[:, None] - part
    return (back >= 0) & ((part == 0) | (back == 0) | (back % 5 == 2))


@pytest.mark.parametrize("seed", range(12))
def test_a_tile_reads_what_its_queries_see(seed: int) -> None:
    draw, (heads, tokens) = Draw(seed), (3, 61)
    mask = draw_mask(draw, heads, tokens, tokens)
    addends = np.where(mask, 0, HIDDEN)
    parts = list_parts(addends, ARRAY, lambda first, last: last - first, shared=seed % 3 == 0)
    seen, count = np.zeros(mask.shape, bool), np.zeros((heads, tokens), int)
    for part in parts:
        keys = part.listed_keys(UNIT)
        tiles = part.tiles[1] - part.tiles[0]
        assert keys.shape == (tiles, part.keys[1])
        assert all(len(set(tile.tolist())) == len(tile) for tile in keys)  # none twice
        assert len({len(runs) for runs in part.runs}) == 1
        assert not part.kept or part.addend_words(ARRAY) <= MOST_KEPT
        first, stop = part.rows(ARRAY.rows, tokens)
        for row in range(first, stop):
            read = keys[(row - first) // ARRAY.rows]
            seen[slice(*part.heads), row, read[read < tokens]] = True
        count[slice(*part.heads), first:stop] += 1
        units = seen_units(addends, ARRAY)[part.heads[0], slice(*part.tiles)].sum(-1)
        if seed % 3:
            assert part.keys[1] == units.max() * UNIT
    assert (count == 1).all()
    assert (seen | ~mask).all()


def test_runs_are_cut_until_each_tile_has_as_many() -> None:
    tiles = [[(0, 5)], [(1, 1), (3, 2), (9, 2)], [(2, 3), (7, 2)]]
    even = even_runs(tiles, 4)
    assert [len(tile) for tile in even] == [3, 3, 3]
    for tile, before in zip(even, tiles, strict=True):
        assert _units(tile) == _units(before)
        assert all(count <= 4 for _, count in tile)
    assert even_runs([[(2 * at, 1) for at in range(128)]], 4) == ()


def _units(runs: object) -> list[int]:
    return [unit for first, count in runs for unit in range(first, first + count)]  # type: ignore[attr-defined]


def _masked(seen: np.ndarray, heads: int = 2, **config: int) -> tuple[Graph, np.ndarray]:
    """Attention of heads under a mask, in integers, and an image."""
    tokens = seen.shape[-1]
    t = Tokens(tokens, 16 * heads, heads)
    q, k, v = t.projections()
    value = np.broadcast_to(np.where(seen, 0.0, -np.inf), (heads, tokens, tokens)).copy()
    scores = t.add(Scores(heads=heads, scale=0.2, bias=value), q, k)
    graph = t.graph.finish(t.linear(t.add(Context(), t.add(Softmax(), scores), v), 3))
    images = np.random.default_rng(2).normal(size=(4, *graph.input_type.shape))
    model = quantize(graph, images, QuantizeConfig(**config))  # type: ignore[arg-type]
    return model.graph, model.quantize_input(images[:1])[0].astype(np.int64)


def _dense(graph: Graph) -> Graph:
    """The graph, whose scores have an addend for a key that one query sees alone: no block is left out."""
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        op = node.op
        if isinstance(op, IntegerScores) and op.addends is not None:
            op = dataclasses.replace(op, addends=np.where(op.addends == HIDDEN, HIDDEN + 1, op.addends))
        builder.add(node.name, op, node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
def test_hidden_blocks_cost_no_cycle_and_change_no_bit() -> None:
    """Beside a machine that reads all keys: its tensors are golden's, too, where the mask counts."""
    graph, image = _masked(_strided(160))
    lowered, dense = lower(graph, ARRAY), lower(_dense(graph), ARRAY)
    program = lowered.program
    listed = [command for command in program.commands if command.key_runs]
    assert listed
    assert not any(command.key_runs for command in dense.program.commands)
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4))
    golden = evaluate(graph, image)
    assert compare(program, run.records, golden) is None
    shown = rebuild(program, run.records)
    np.testing.assert_array_equal(shown["context"], golden["context"])
    np.testing.assert_array_equal(shown["softmax"], golden["softmax"])
    read = sum(command.heads * command.tiles * command.keys for command in listed)
    units = seen_units(np.where(_strided(160), 0, HIDDEN)[None], ARRAY).sum()
    assert read <= 1.1 * 2 * units * UNIT
    assert predict(program, lowered.image).cycles < 0.7 * predict(dense.program, dense.image).cycles


def test_heads_that_hide_the_same_keys_take_addends_once() -> None:
    graph, _ = integers("scattered", 96, 16, 2)
    commands = [command for command in lower(graph, ARRAY).program.commands if command.key_runs]
    kept = [command for command in commands if command.kept_addends]
    assert kept
    assert all(command.heads == 2 for command in kept)
    assert any(command.heads == 1 for command in commands)  # the layer whose heads see other keys


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
def test_streamed_attention_has_no_lists() -> None:
    graph, _ = _masked(_strided(64))
    streamed = dataclasses.replace(ARRAY, streamed=True)
    assert not any(command.key_runs for command in lower(graph, streamed).program.commands)


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
def test_exps_of_two_digits_have_no_lists() -> None:
    """MULTIPLY walks over a tile's keys for each digit; the same scores with one digit have lists."""
    graph, image = _masked(_strided(160), numerator_bits=10)
    plain, _ = _masked(_strided(160))
    lowered = lower(graph, ARRAY)
    program, attention = lowered.program, [c for c in lowered.program.commands if c.high_digits]
    assert attention
    assert not any(command.key_runs for command in program.commands)
    assert any(command.key_runs for command in lower(plain, ARRAY).program.commands)
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4))
    assert compare(program, run.records, evaluate(graph, image)) is None
