# SPDX-License-Identifier: Apache-2.0
"""Selections that begin inside a group of rows: the tensor is made once more, with rows in front."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, GraphBuilder, TensorType, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.legalise.align import align, needs_rows
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Constant,
    Context,
    GroupedLinear,
    LayerNorm,
    Linear,
    Matmul,
    Patches,
    Scores,
    Select,
    Softmax,
    Transpose,
)
from hlsgen.quantization import quantize

RANDOM = np.random.default_rng(5)
TOKENS, WIDTH = 7, 6


def layer(width: int, size: int) -> Linear:
    return Linear(weight=RANDOM.normal(0, 0.5, (size, width)), bias=RANDOM.normal(0, 0.2, size))


def attention(graph: GraphBuilder, x: str) -> str:
    scores = graph.add("scores", Scores(heads=2, scale=0.5), [x, x])
    return graph.add("context", Context(), [graph.add("softmax", Softmax(), [scores]), x])


def biased(graph: GraphBuilder, x: str) -> str:
    """Addends [heads, queries, keys] have more rows, too."""
    bias = RANDOM.normal(0, 1, (2, TOKENS, TOKENS))
    scores = graph.add("scores", Scores(heads=2, scale=0.5, bias=bias), [x, x])
    return graph.add("context", Context(), [graph.add("softmax", Softmax(), [scores]), x])


def residual(graph: GraphBuilder, x: str) -> str:
    moved = graph.add("moved", AddConstant(value=RANDOM.normal(0, 1, (TOKENS, WIDTH))), [x])
    return graph.add("sum", Add(), [moved, graph.add("branch", layer(WIDTH, WIDTH), [x])])


def grouped(graph: GraphBuilder, x: str) -> str:
    norm = LayerNorm(gamma=np.ones(WIDTH), beta=np.zeros(WIDTH), eps=1e-3, heads=2)
    op = GroupedLinear(groups=2, weight=RANDOM.normal(0, 1, (4, 3)), bias=np.zeros(4))
    return graph.add("grouped", op, [graph.add("norm", norm, [x])])


def twice(graph: GraphBuilder, x: str) -> str:
    return graph.add("first", Select(start=1, stop=TOKENS), [residual(graph, x)])


MAKERS: dict[str, Callable[[GraphBuilder, str], str]] = {
    "linear": lambda graph, x: graph.add("again", layer(WIDTH, WIDTH), [x]),
    "table": lambda graph, x: graph.add("table", Activation(function="gelu"), [x]),
    "attention": attention,
    "biased": biased,
    "residual": residual,
    "grouped": grouped,
    "twice": twice,
    "product": lambda graph, x: graph.add("product", Matmul(heads=1, transposed=True, scale=0.3), [x, x]),
    "transpose": lambda graph, x: graph.add("moved", Transpose(heads=1), [x]),
    "heads": lambda graph, x: graph.add("moved", Transpose(heads=2), [x]),
    "constant": lambda graph, _: graph.add(
        "learned", Constant(value=RANDOM.normal(0, 1, (TOKENS, WIDTH))), ["image"]
    ),
}


def model(maker: str, *, whole: bool) -> Graph:
    """Rows from the second one on of what the maker makes, and a linear layer; one more on all rows."""
    graph = GraphBuilder("image", TensorType((1, 4, 6)))
    patches = graph.add("patches", Patches(patch=(2, 2), prefix=1), ["image"])
    made = MAKERS[maker](graph, graph.add("embed", layer(4, WIDTH), [patches]))
    rows, width = graph.type_of(made).shape
    chosen = graph.add("chosen", Select(start=1, stop=rows), [made])
    head = graph.add("head", layer(width, 3), [chosen])
    outputs = [head, graph.add("all", layer(width, 3), [made])] if whole else [head]
    return graph.finish(*outputs, names=["some", "all"] if whole else ())


def integers(maker: str, *, whole: bool = False) -> tuple[Graph, np.ndarray]:
    graph, images = model(maker, whole=whole), RANDOM.uniform(-2, 2, (4, 1, 4, 6)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        found = quantize(graph, images).graph
    return found, quantize_images(images, found.input_type)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(("width", "whole"), [(2, False), (4, True)])
def test_any_tensor_is_selected_from_any_row(maker: str, width: int, *, whole: bool) -> None:
    graph, images = integers(maker, whole=whole)
    aligned = align(graph, width)
    assert needs_rows(graph, width)
    assert not needs_rows(aligned, width)
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=width))
    program, golden = lowered.program, evaluate(graph, images[0])
    np.testing.assert_array_equal(evaluate(aligned, images[0])[aligned.output], golden[graph.output])
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(images[0], 4))
    assert trace.compare(program, run.records, golden) is None
    for name, output in zip(graph.outputs, program.unpack_outputs(run.output), strict=True):
        np.testing.assert_array_equal(output, golden[name])


def test_a_graph_whose_selections_are_aligned_stays_as_it_is() -> None:
    graph, _ = integers("linear")
    assert align(graph, 1) is graph
    assert len(lower(graph, ArrayShape(rows=4, columns=4, depth=4)).program.commands) == 3


def test_the_tensor_that_only_the_selection_read_is_made_once() -> None:
    graph, _ = integers("residual")
    plain, aligned = (
        lower(graph, ArrayShape(rows=4, columns=4, depth=4, row_width=width)).program for width in (1, 4)
    )
    assert len(aligned.commands) == len(plain.commands)
    names = {node.name for node in align(graph, 4)}
    assert "sum_behind3" in names
    assert "sum" not in names
