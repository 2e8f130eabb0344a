# SPDX-License-Identifier: Apache-2.0
"""No composition of ops is refused, and what `legalise` adds changes no value."""

from __future__ import annotations

import numpy as np
import pytest
from quantization.graphs import Vit, images
from quantization.hosts import HOSTS, Host, NoNorm
from support.token_graphs import Tokens

from benchmarks.fuzz.compositions import draw_composed, draw_composition, draw_pictures
from benchmarks.fuzz.draw import Draw
from hlsgen.ir import GraphBuilder, TensorType, evaluate, quantize_images
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.format.commands import Drain, Target
from hlsgen.machine.format.program import Program
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.ops import (
    Add,
    Combine,
    ExpertLinear,
    Gather,
    GroupedLinear,
    LayerNorm,
    Linear,
    Patches,
    Route,
)
from hlsgen.quantization import quantize
from hlsgen.quantization.legalise import legalise

SEEDS = pytest.mark.parametrize("seed", range(100))


@SEEDS
def test_any_composition_runs_and_every_tensor_is_equal(seed: int) -> None:
    graph = draw_composed(Draw(77, seed), 10)
    edge, width = (2, 1 + seed % 2) if seed % 3 else (4, 4)
    lowered = lower(graph, ArrayShape(rows=edge, columns=edge, depth=4, ring_bytes=256, row_width=width))
    program = lowered.program
    machine = Interpreter(program.parameters, lowered.image.pack())
    for image in quantize_images(draw_pictures(Draw(78, seed), graph, 2), graph.input_type):
        golden = evaluate(graph, image)
        run = machine.run(program.input.pack(image, edge))
        assert trace.compare(program, run.records, golden) is None
        found = program.output.unpack(run.output, program.parameters)
        np.testing.assert_array_equal(found, golden[graph.output])


def rows_lie_alike(program: Program) -> bool:
    """Whether experts add at the distance at which they gather: a queue's entry in RTL holds one."""
    strides = [command.source_stride for command in program.commands if command.target is Target.QUEUES]
    added = [command.target_stride for command in program.commands if command.drain is Drain.COMBINE]
    return not added or (set(strides) >= set(added) and (len(set(strides)) > 1 or len(set(added)) == 1))


@pytest.mark.parametrize("seed", range(30))
def test_any_composition_of_several_tasks_and_experts_runs(seed: int) -> None:
    """Commands of other tasks are skipped, but none that reads the addend stream."""
    tasks = 1 + seed % 3
    graph = draw_composed(Draw(79, seed), 9, tasks, experts=True)
    lowered = lower(graph, ArrayShape(rows=3, columns=4, depth=2, ring_bytes=256))
    program = lowered.program
    assert rows_lie_alike(program)
    machine = Interpreter(program.parameters, lowered.image.pack())
    (image,) = quantize_images(draw_pictures(Draw(80, seed), graph, 1), graph.input_type)
    for task in range(tasks):
        golden = evaluate(graph, image, task)
        run = machine.run(program.input.pack(image, 4), task=task)
        assert trace.compare(program, run.records, golden, task) is None
        found = program.outputs[task].unpack(run.output, program.parameters)
        np.testing.assert_array_equal(found, golden[graph.outputs[task]])


@SEEDS
def test_the_legal_graph_is_equal_and_legal(seed: int) -> None:
    graph = draw_composition(Draw(77, seed))
    legal = legalise(graph)
    image = draw_pictures(Draw(78, seed), graph, 2).astype(np.float64)
    np.testing.assert_allclose(
        evaluate(legal, image)[legal.output], evaluate(graph, image)[graph.output], rtol=1e-9, atol=1e-9
    )
    assert [str(node) for node in legalise(legal)] == [str(node) for node in legal]


@pytest.mark.parametrize(
    ("groups", "between"), [(2, []), (3, ["norm_affine", "norm_affine_2"])], ids=["its parts", "others"]
)
def test_a_grouped_layer_reads_a_norm_of_its_own_parts(groups: int, between: list[str]) -> None:
    """LOAD normalises the parts that a command multiplies one by one."""
    graph = GraphBuilder("image", TensorType((1, 2, 4)))
    patches = graph.add("patches", Patches(patch=(2, 2)), ["image"])
    rows = graph.add("embed", Linear(weight=np.eye(6, 4), bias=np.arange(6.0)), [patches])
    norm = graph.add("norm", LayerNorm(gamma=np.ones(6), beta=np.zeros(6), eps=1.0, heads=2), [rows])
    op = GroupedLinear(groups=groups, weight=np.ones((6, 6 // groups)), bias=np.zeros(6))
    legal = legalise(graph.finish(graph.add("grouped", op, [norm])))
    names = [node.name for node in legal]
    assert names[names.index("norm") + 1 : names.index("grouped")] == between


def test_rows_in_another_order_are_copied_where_they_are_added() -> None:
    """A norm reads them where they lie; DRAIN adds rows in their order, also those that experts add to."""
    t = Tokens(tokens=4, width=8, heads=2)
    order = t.add(Gather(places=np.array([[3], [1], [0], [2]])), t.x)
    op = LayerNorm(gamma=np.ones(8), beta=np.zeros(8), eps=1e-5)
    norm, rows = t.add(op, order), t.add(op, t.x)
    total = t.add(Add(), order, t.linear(norm, 8))
    route = t.add(Route(k=1, convention="softmax_all"), t.linear(rows, 2))
    experts = ExpertLinear(weight=t.random.normal(size=(2, 8, 8)), bias=np.zeros((2, 8)))
    inner = t.relu(t.add(experts, rows, route))
    mixed = t.add(Combine(), order, t.add(experts, inner, route), route)
    graph = t.graph.finish(t.linear(t.add(Add(), total, t.linear(mixed, 8)), 5))
    legal = legalise(graph)
    for name in (total, mixed):
        assert not isinstance(legal.node(legal.node(name).inputs[0]).op, Gather)
    assert isinstance(legal.node(legal.node(norm).inputs[0]).op, Gather)
    images = t.random.normal(size=(8, 3, 8, 16))
    np.testing.assert_allclose(evaluate(legal, images)[legal.output], evaluate(graph, images)[graph.output])
    lower(quantize(graph, images.astype(np.float32)).graph, ArrayShape(rows=2, columns=2, depth=4))


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_blocks_of_published_models_stay_accurate(host: type[Host]) -> None:
    shape = Vit(
        width=16, heads=2, hidden=24, blocks=2, classes=7, pool="token" if host is not NoNorm else "mean"
    )
    model = quantize(host(shape).build(), images(shape, 64))
    noise = model.report.tensor(model.graph.output).sqnr_db
    print(f"{host.__name__}: {noise:.1f} dB, {len(model.graph.nodes)} nodes")
    assert noise > 25
