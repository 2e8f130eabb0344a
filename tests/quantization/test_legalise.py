# SPDX-License-Identifier: Apache-2.0
"""No composition of ops is refused, and what `legalise` adds changes no value."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from support.compositions import composition, pictures

from hlsgen.ir import Graph, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization.legalise import legalise
from hlsgen.quantization.quantized import Quantized, quantize

SEEDS = range(120)


def quantized(graph: Graph) -> Quantized:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random models are not accurate
        return quantize(graph, pictures(4))


@pytest.mark.parametrize("seed", SEEDS)
def test_any_composition_runs_and_every_tensor_is_equal(seed: int) -> None:
    model = quantized(composition(seed))
    lowered = lower(model.graph, ArrayShape(rows=2, columns=2, depth=4, ring_bytes=256))
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    for image in quantize_images(pictures(2, seed=seed + 1), model.graph.input_type):
        golden = evaluate(model.graph, image)
        run = machine.run(program.input.pack(image, 2))
        assert trace.compare(program, run.records, golden) is None
        found = program.output.unpack(run.output, program.parameters)
        np.testing.assert_array_equal(found, golden[model.graph.output])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_legal_graph_is_equal_and_legal(seed: int) -> None:
    graph = composition(seed)
    legal = legalise(graph)
    image = pictures(2).astype(np.float64)
    np.testing.assert_allclose(
        evaluate(legal, image)[legal.output], evaluate(graph, image)[graph.output], rtol=1e-9, atol=1e-9
    )
    again = legalise(legal)
    assert [str(node) for node in again] == [str(node) for node in legal]
