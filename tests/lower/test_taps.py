# SPDX-License-Identifier: Apache-2.0
"""Walks: every step in use is read, in order of the taps, and no step beyond the row."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hlsgen.errors import QuantizationWarning
from hlsgen.ir import GraphBuilder, TensorType, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.taps import Walk, find_walk
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import Context, Linear, Patches, Scores, Softmax
from hlsgen.quantization import quantize


def _used(blocks: int, steps: int, *read: tuple[int, int]) -> np.ndarray:
    used = np.zeros((blocks, steps), bool)
    for block, step in read:
        used[block, step] = True
    return used


def _of(walk: Walk, blocks: int, steps: int) -> np.ndarray:
    """The steps that a walk reads, as `find_walk` takes them."""
    return _used(blocks, steps, *((block, step) for block in range(blocks) for step in walk.read(block)))


@pytest.mark.parametrize(
    "walk",
    [
        Walk(taps=4, size=2, stride=6, advance=2),
        Walk(taps=1, size=3, stride=0, advance=0),
        Walk(taps=1, size=1, stride=0, advance=1),
        Walk(taps=3, size=1, stride=2, advance=0),
        Walk(taps=2, size=2, stride=5, advance=1),
    ],
)
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_walk_is_found_again(walk: Walk, blocks: int) -> None:
    steps = max(int(walk.read(blocks - 1).max()) + 1, walk.steps + 1)
    found = find_walk(_of(walk, blocks, steps))
    assert found is not None
    assert found.steps == walk.steps
    assert all(np.array_equal(found.read(block), walk.read(block)) for block in range(blocks))


def test_random_patterns_are_covered() -> None:
    random, shorter = np.random.default_rng(1), 0
    for _ in range(400):
        blocks, steps = random.integers(1, 7, 2)
        used = random.random((blocks, steps)) < random.choice([0.1, 0.3])
        walk = find_walk(used)
        if walk is None:
            continue
        shorter += 1
        assert walk.steps < steps
        for block in range(blocks):
            read = walk.read(block)
            assert read.max() < steps
            assert set(np.flatnonzero(used[block])) <= set(read)
    assert shorter > 100


def test_dense_weights_have_no_walk() -> None:
    assert find_walk(np.ones((3, 4), bool)) is None


@pytest.mark.parametrize("streamed", [False, True])
def test_a_layer_of_blocks_beside_streamed_attention(streamed: bool) -> None:
    """A machine that streams keys and values has no walks: there the layer reads its zeros."""
    random, width = np.random.default_rng(3), 32
    graph = GraphBuilder("image", TensorType((1, 4, 6)))
    patches = graph.add("patches", Patches(patch=(2, 2), prefix=0), ["image"])
    x = graph.add("embed", Linear(weight=random.normal(0, 1, (width, 4)), bias=np.zeros(width)), [patches])
    scores = graph.add("softmax", Softmax(), [graph.add("scores", Scores(heads=2, scale=0.2), [x, x])])
    blocks = np.kron(np.eye(8), np.ones((4, 4))) * random.normal(0, 1, (width, width))
    last = graph.add("context", Context(), [scores, x])
    last = graph.add("blocks", Linear(weight=blocks, bias=np.zeros(width)), [last])
    images = random.uniform(-2, 2, (4, 1, 4, 6)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        integers = quantize(graph.finish(last), images).graph
    image = quantize_images(images, integers.input_type)[0]
    array = ArrayShape(rows=2, columns=4, depth=4, streamed=streamed, span=int(streamed))
    lowered = lower(integers, array)
    program = lowered.program
    assert (program.parameters.streamed, program.parameters.taps) == (streamed, int(not streamed))
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(image, 4))
    assert trace.compare(program, run.records, evaluate(integers, image)) is None
