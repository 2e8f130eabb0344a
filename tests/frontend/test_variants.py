# SPDX-License-Identifier: Apache-2.0
"""Every supported way to write a vision transformer gives a Graph that computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional
from support.variants import HEADS, VARIANTS, captured, same

from hlsgen.examples.digits.data import awkward_data, heldout
from hlsgen.examples.digits.model import awkward, digits
from hlsgen.frontend.capture import capture
from hlsgen.frontend.read.archive import load_archive
from hlsgen.ir import evaluate
from hlsgen.ops import Linear, Patches, Scores


@pytest.mark.parametrize("name", [*VARIANTS, "several_heads"])
def test_variant_computes_the_same(name: str) -> None:
    model, graph = captured(name)
    images = np.random.default_rng(3).normal(size=(4, 2, 4, 6)).astype(np.float32)
    same(model, graph, images)


def test_digits() -> None:
    model, images = digits(), heldout()[0][:40]
    same(model, capture(model, images[:1]), images)


def test_awkward() -> None:
    model, images = awkward(), awkward_data()[0]
    same(model, capture(model, torch.from_numpy(images[:1])), images)


@pytest.mark.parametrize("name", ["sdpa", "hand_divided", "registers", "multihead_weights"])
def test_all_ways_in_give_one_graph(name: str, tmp_path: Path) -> None:
    model, graph = captured(name)
    example = torch.zeros(1, 2, 4, 6)
    exported = torch.export.export(model, (example,))
    torch.export.save(exported, tmp_path / "model.pt2")
    archive = load_archive(tmp_path / "model.pt2")
    for other in (capture(exported), capture(archive)):
        assert [str(node) for node in other] == [str(node) for node in graph]
        assert [node.source.module for node in other] == [node.source.module for node in graph]
        for one, two in zip(graph, other, strict=True):
            if isinstance(one.op, Linear) and isinstance(two.op, Linear):
                assert np.array_equal(one.op.weight, two.op.weight)
                assert np.array_equal(one.op.bias, two.op.bias)


def test_canonical_order_and_names() -> None:
    _, graph = captured("sdpa")
    assert [(node.name, type(node.op).__name__, node.inputs) for node in graph] == [
        ("patches", "Patches", ("image",)),
        ("patch", "Linear", ("patches",)),
        ("embedding", "AddConstant", ("patch",)),
        ("norm1", "LayerNorm", ("embedding",)),
        ("q", "Linear", ("norm1",)),
        ("k", "Linear", ("norm1",)),
        ("v", "Linear", ("norm1",)),
        ("scores", "Scores", ("q", "k")),
        ("softmax", "Softmax", ("scores",)),
        ("context", "Context", ("softmax", "v")),
        ("proj", "Linear", ("context",)),
        ("add", "Add", ("embedding", "proj")),
        ("norm2", "LayerNorm", ("add",)),
        ("up", "Linear", ("norm2",)),
        ("gelu", "Activation", ("up",)),
        ("down", "Linear", ("gelu",)),
        ("add_2", "Add", ("add", "down")),
        ("select", "Select", ("add_2",)),
        ("norm", "LayerNorm", ("select",)),
        ("head", "Linear", ("norm",)),
    ]
    embed = graph.node("patch").op
    assert isinstance(embed, Linear)
    assert not embed.bias.any()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_canonical(name: str) -> None:
    _, graph = captured(name)
    kinds = [type(node.op).__name__ for node in graph]
    assert kinds[:3] == ["Patches", "Linear", "AddConstant"]
    block = ["LayerNorm", "Linear", "Linear", "Linear", "Scores", "Softmax", "Context", "Linear", "Add"]
    block += ["LayerNorm", "Linear", "Activation", "Linear", "Add"]
    assert kinds[3:17] == block
    assert kinds[-1] == "Linear"
    assert kinds.count("Linear") == 2 + 6 * kinds.count("Scores")
    for node in graph:
        if type(node.op).__name__ == "Add":
            assert type(graph.node(node.inputs[0]).op).__name__ in ("Add", "AddConstant")


def test_heads_are_added_up_at_the_end() -> None:
    _, graph = captured("several_heads")
    nodes = [(node.name, type(node.op).__name__, node.inputs) for node in graph.nodes[-11:]]
    assert nodes == [
        ("select", "Select", ("add_2",)),
        ("norm", "LayerNorm", ("select",)),
        ("head", "Linear", ("norm",)),
        ("select_2", "Select", ("add_2",)),
        ("norm_2", "LayerNorm", ("select_2",)),
        ("second", "Linear", ("norm_2",)),
        ("add_3", "Add", ("head", "second")),
        ("select_3", "Select", ("add_2",)),
        ("norm_3", "LayerNorm", ("select_3",)),
        ("third", "Linear", ("norm_3",)),
        ("add_4", "Add", ("add_3", "third")),
    ]
    assert graph.output == "add_4"


def test_same_attention_in_every_spelling() -> None:
    scales = {}
    for name in ("sdpa", "multihead_weights", "hand_scaled_query", "hand_divided"):
        _, graph = captured(name)
        (scores,) = (node.op for node in graph if isinstance(node.op, Scores))
        assert scores.heads == HEADS
        scales[name] = scores.scale
    assert scales == pytest.approx(dict.fromkeys(scales, 0.5), rel=1e-12)


def test_prefix_rows_are_constants() -> None:
    model, graph = captured("registers")
    cut = graph.node("patches").op
    assert isinstance(cut, Patches)
    assert cut.prefix == 3
    blank = evaluate(graph, np.zeros((2, 4, 6)))["embedding"]
    other = evaluate(graph, np.ones((2, 4, 6)))["embedding"]
    assert np.array_equal(blank[:3], other[:3])
    wanted = model.get_parameter("registers").detach().numpy()[0]
    assert np.array_equal(blank[1:3], wanted)


def test_the_graph_does_not_change_with_the_model() -> None:
    model, images = digits(), heldout()[0][:2]
    graph = capture(model, images[:1])
    before = evaluate(graph, images)[graph.output]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert np.array_equal(evaluate(graph, images)[graph.output], before)


def test_capture_twice_is_identical() -> None:
    one, two = (str(capture(digits(), np.zeros((1, 1, 8, 8), np.float32))) for _ in range(2))
    assert one == two
