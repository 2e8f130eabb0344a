# SPDX-License-Identifier: Apache-2.0
"""Channels of an activation that reach farthest become a tensor of their own; the float Graph stays equal."""

from __future__ import annotations

import numpy as np
import pytest
from support.outliers import far_images, far_mlp

from hlsgen.ir import Graph, GraphBuilder, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import QuantizeConfig, quantize
from hlsgen.quantization.apart import CHANNELS, FEWEST, FEWEST_ROWS, outliers, with_outliers_apart

pytestmark = pytest.mark.filterwarnings("ignore::hlsgen.errors.QuantizationWarning")


@pytest.mark.parametrize("first", [True, False])
def test_the_split_graph_is_equal(first: bool) -> None:
    images, graph = far_images(), far_mlp(9.0, first=first)
    split = with_outliers_apart(graph, images)
    assert split.outputs == graph.outputs
    one, two = evaluate(graph, images), evaluate(split, images)
    np.testing.assert_allclose(two["sum"], one["sum"], rtol=1e-12, atol=1e-12)
    assert two["gelu"].shape[-1] == FEWEST - CHANNELS
    assert two["gelu_outliers"].shape[-1] == CHANNELS
    assert two["gelu_outliers"].max() == one["gelu"].max() > 3 * two["gelu"].max()


def test_the_integer_graph_gains() -> None:
    """By more than 3 dB, all that the tensor's own error is."""
    graph, held = far_mlp(9.0), far_images(seed=4)
    errors = []
    for apart in (False, True):
        made = quantize(graph, far_images(), QuantizeConfig(outliers_apart=apart, activation_bits=12))
        wanted = evaluate(made.reference, held)["sum"] - evaluate(made.reference, held)["tokens"]
        found = evaluate(made.graph, made.quantize_input(held))
        real = made.dequantize("sum", found["sum"]) - made.dequantize("tokens", found["tokens"])
        errors.append(float(((real - wanted) ** 2).mean()))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize(
    "graph",
    [
        far_mlp(1.0),
        far_mlp(9.0, FEWEST - 1),
        far_mlp(9.0, tokens=FEWEST_ROWS - 1),
        far_mlp(9.0, second=True),
    ],
    ids=["no outliers", "narrow", "few rows", "an output"],
)
def test_what_stays_as_it_is(graph: Graph) -> None:
    images = np.random.default_rng(9).normal(size=(48, *graph.input_type.shape))
    assert with_outliers_apart(graph, images) is graph


def test_outliers_weigh_as_their_readers_do() -> None:
    """Channels that nobody weighs need no integers, whether they reach far or not."""
    largest = np.full(FEWEST, 1.0)
    largest[7] = 10.0
    weight = np.ones((4, FEWEST))
    found = outliers(largest, weight)
    assert found is not None
    assert 7 in found
    weight[:, np.delete(np.arange(FEWEST), found)] = 0.0
    assert outliers(largest, weight) is None
    assert outliers(np.full(FEWEST, np.inf), weight) is None


@pytest.mark.parametrize("row_width", [1, 2])
def test_the_machine_runs_it(row_width: int) -> None:
    """Two layers read the norm, and two of them add to the stream."""
    graph = quantize(far_mlp(9.0), far_images()).graph
    assert "gelu_outliers" in [node.name for node in graph]
    lowered = lower(graph, ArrayShape(rows=4, columns=4, depth=4, ring_bytes=4096, row_width=row_width))
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    for image in quantize_images(far_images(2, seed=4), graph.input_type):
        run = machine.run(program.input.pack(image, 4))
        assert trace.compare(program, run.records, evaluate(graph, image)) is None


def test_more_outliers_than_channels_apart_stay() -> None:
    largest = np.where(np.arange(FEWEST) <= CHANNELS, 10.0, 1.0)
    assert outliers(largest, np.ones((4, FEWEST))) is None
    largest[0] = 1.0
    assert outliers(largest, np.ones((4, FEWEST))) is not None


def test_names_that_are_taken() -> None:
    graph = far_mlp(9.0)
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        name = {"patches": "fc1_outliers"}.get(node.name, node.name)
        builder.add(name, node.op, [{"patches": "fc1_outliers"}.get(i, i) for i in node.inputs], node.source)
    renamed = builder.finish(*graph.outputs)
    split = with_outliers_apart(renamed, far_images())
    assert "fc1_outliers_2" in [node.name for node in split]
