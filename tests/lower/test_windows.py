# SPDX-License-Identifier: Apache-2.0
"""Attention by windows: a command reads the keys of its windows alone, at any row width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.token_graphs import Tokens, integers

from hlsgen.ir import Graph, evaluate
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Load
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.machine.run.trace import compare
from hlsgen.ops import Add, Context, Gather, IntegerScores, Scores, Softmax
from hlsgen.quantization import quantize

COUNT, SIZE, HEADS = 6, 9, 2


def _dense(bias: np.ndarray) -> np.ndarray:
    """The bias [H, n*T, n*S] of windows' own [n*H, T, S]: other windows are hidden."""
    each = bias.reshape(COUNT, HEADS, SIZE, SIZE)
    result = np.full((HEADS, COUNT, SIZE, COUNT, SIZE), -np.inf)
    for window in range(COUNT):
        result[:, window, :, window] = each[window]
    return result.reshape(HEADS, COUNT * SIZE, -1)


def _swin(t: Tokens) -> str:
    """Two blocks of attention by windows, the second one shifted, and pairs of tokens merged."""
    random, x, tokens = np.random.default_rng(1), t.x, COUNT * SIZE
    for shift in (0, 4):
        order = np.roll(np.arange(tokens).reshape(COUNT, SIZE).T.reshape(-1, 1), -shift)
        bias = random.normal(size=(COUNT * HEADS, SIZE, SIZE))
        bias[: HEADS * shift, :4, 4:] = -np.inf
        rows = t.add(Gather(places=order), x)
        q, k, v = (t.linear(rows, t.width) for _ in range(3))
        scores = t.add(Scores(heads=HEADS, scale=0.3, bias=_dense(bias)), q, k)
        contexts = t.add(Context(), t.add(Softmax(), scores), v)
        back = t.add(Gather(places=np.argsort(order, 0)), contexts)
        x = t.add(Add(), x, t.linear(back, t.width))
    return t.linear(t.add(Gather(places=np.arange(tokens).reshape(-1, 2)), x), 5)


@pytest.mark.parametrize("shape", [(4, 4, 4, 1), (4, 4, 8, 2), (4, 8, 4, 4)])
def test_windows(shape: tuple[int, ...]) -> None:
    t = Tokens(COUNT * SIZE, 16, HEADS)
    graph = t.graph.finish(_swin(t))
    images = np.random.default_rng(2).normal(size=(4, *graph.input_type.shape))
    model = quantize(graph, images)
    image = model.quantize_input(images[:1])[0].astype(np.int64)
    rows, columns, depth, width = shape
    lowered = lower(model.graph, ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width))
    program = lowered.program
    attention = [command for command in program.commands if command.load is Load.ATTENTION]
    assert len(attention) > 2
    assert max(command.keys for command in attention) < COUNT * SIZE
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, columns))
    assert compare(program, run.records, evaluate(model.graph, image)) is None


def test_streamed_attention_has_no_rows_between_windows() -> None:
    """It reads all keys, and every tensor is shown."""
    graph, image = integers("windows", 54, 16, 2)
    array = ArrayShape(rows=4, columns=4, depth=8, row_width=2, streamed=True)
    lowered = lower(graph, array)
    program = lowered.program
    assert program.parameters.streamed
    assert not program.parameters.windows
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4))
    assert compare(program, run.records, evaluate(graph, image)) is None
    shown = {view.tensor for view in program.views}
    assert {node.name for node in graph if node.type.shape[-1] == 54} <= shown


def _blocks(mask: np.ndarray) -> tuple[Graph, np.ndarray]:
    """Attention under a mask in integers whose scores leave their range below and above, and an image."""
    t = Tokens(COUNT * SIZE, 16, HEADS)
    q, k, v = t.projections()
    bias = np.broadcast_to(np.where(mask, 0.0, -np.inf), (HEADS, COUNT * SIZE, COUNT * SIZE)).copy()
    scores = t.add(Scores(heads=HEADS, scale=0.3, bias=bias), q, k)
    graph = t.graph.finish(t.linear(t.add(Context(), t.add(Softmax(), scores), v), 5))
    images = np.random.default_rng(2).normal(size=(4, *graph.input_type.shape))
    model = quantize(graph, images)
    nodes = [
        replace(node, op=replace(node.op, shift=node.op.shift - 3))
        if isinstance(node.op, IntegerScores)
        else node
        for node in model.graph
    ]
    large = replace(model.graph, nodes=tuple(nodes)).verify()
    return large, model.quantize_input(images[:1])[0].astype(np.int64)


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
@pytest.mark.parametrize("shape", [(4, 4, 4, 1), (8, 8, 4, 1), (4, 4, 8, 2)])
def test_commands_without_hidden_keys_take_no_addends(shape: tuple[int, ...]) -> None:
    """The code of hidden keys stays out of their logits, as of all logits of the layer."""
    window = np.arange(COUNT * SIZE) // SIZE
    graph, image = _blocks(window == window[:, None])
    golden = evaluate(graph, image)
    lowest = -(1 << 9)
    seen = golden["scores"][:, window == window[:, None]]
    assert {lowest + 1, -lowest - 1} <= {*seen.flat}
    assert lowest not in seen
    rows, columns, depth, width = shape
    lowered = lower(graph, ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width))
    program = lowered.program
    attention = [command for command in program.commands if command.load is Load.ATTENTION]
    assert [command.score_addends for command in attention] == [0] * len(attention)
    assert not program.parameters.addend_words
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, columns))
    assert compare(program, run.records, golden) is None


@pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")
def test_heads_of_a_layer_take_addends_where_they_have_any() -> None:
    """All windows see themselves, but for a key of each that the second head does not see."""
    window = np.arange(COUNT * SIZE) // SIZE
    mask = np.stack([window == window[:, None]] * HEADS)
    mask[1, :, 2::SIZE] = False
    graph, image = _blocks(mask)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=1))
    program = lowered.program
    attention = [command for command in program.commands if command.load is Load.ATTENTION]
    assert [command.score_addends for command in attention] == [0, 1]
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4))
    assert compare(program, run.records, evaluate(graph, image)) is None
