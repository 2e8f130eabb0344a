# SPDX-License-Identifier: Apache-2.0
"""No composition of ops is refused, and what `legalise` adds changes no value."""

from __future__ import annotations

import numpy as np
import pytest
from quantization.graphs import Vit, images
from quantization.hosts import HOSTS, Host, NoNorm

from benchmarks.fuzz.compositions import draw_composed, draw_composition, draw_pictures
from benchmarks.fuzz.draw import Draw
from hlsgen.ir import evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize
from hlsgen.quantization.legalise import legalise

SEEDS = pytest.mark.parametrize("seed", range(100))


@SEEDS
def test_any_composition_runs_and_every_tensor_is_equal(seed: int) -> None:
    graph = draw_composed(Draw(77, seed), 10)
    lowered = lower(graph, ArrayShape(rows=2, columns=2, depth=4, ring_bytes=256))
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    for image in quantize_images(draw_pictures(Draw(78, seed), graph, 2), graph.input_type):
        golden = evaluate(graph, image)
        run = machine.run(program.input.pack(image, 2))
        assert trace.compare(program, run.records, golden) is None
        found = program.output.unpack(run.output, program.parameters)
        np.testing.assert_array_equal(found, golden[graph.output])


@SEEDS
def test_the_legal_graph_is_equal_and_legal(seed: int) -> None:
    graph = draw_composition(Draw(77, seed))
    legal = legalise(graph)
    image = draw_pictures(Draw(78, seed), graph, 2).astype(np.float64)
    np.testing.assert_allclose(
        evaluate(legal, image)[legal.output], evaluate(graph, image)[graph.output], rtol=1e-9, atol=1e-9
    )
    assert [str(node) for node in legalise(legal)] == [str(node) for node in legal]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_blocks_of_published_models_stay_accurate(host: type[Host]) -> None:
    shape = Vit(
        width=16, heads=2, hidden=24, blocks=2, classes=7, pool="token" if host is not NoNorm else "mean"
    )
    model = quantize(host(shape).build(), images(shape, 64))
    noise = model.report.tensor(model.graph.output).sqnr_db
    print(f"{host.__name__}: {noise:.1f} dB, {len(model.graph.nodes)} nodes")
    assert noise > 25
