# SPDX-License-Identifier: Apache-2.0
"""The models of published sizes: their sizes, and that random weights and images look like real ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hlsgen.examples.vit.data import DEVIATION, MEAN, photographs
from hlsgen.examples.vit.model import deit_tiny
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.images import load_data
from hlsgen.frontend.inputs.model import load_model
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import Context, Linear, Patches, Scores


def macs(graph: Graph) -> int:
    """Multiply-accumulates of one image; the zero rows of class tokens cost none."""
    total = 0
    prefix = {node.name: node.op.prefix for node in graph if isinstance(node.op, Patches)}
    for node in graph:
        depth = graph.type_of(node.inputs[0]).shape[-1]
        if isinstance(node.op, Linear):
            total += (node.type.shape[0] - prefix.get(node.inputs[0], 0)) * node.type.shape[1] * depth
        elif isinstance(node.op, Scores):
            total += math.prod(node.type.shape[1:]) * depth
        elif isinstance(node.op, Context):
            total += math.prod(node.type.shape) * depth
    return total


@pytest.mark.parametrize(
    ("name", "width", "heads", "tokens", "millions"),
    [
        ("deit-tiny", 192, 3, 197, 1253.7),
        ("deit-tiny-distilled", 192, 3, 198, 1261.0),
        ("deit-small", 384, 6, 197, 4598.9),
        ("vit-base", 768, 12, 197, 17563.8),
    ],
)
def test_published_sizes(name: str, width: int, heads: int, tokens: int, millions: float) -> None:
    loaded = load_model(name)
    graph = capture(loaded.model, loaded.example)
    assert graph.node("embedding").type.shape == (tokens, width)
    assert graph.node("blocks_11_attn_scores").type.shape == (heads, tokens, tokens)
    assert graph.type_of(graph.output).shape == (1, 1000)
    patches, classes = 196 * 768 * width, (tokens - 196) * 1000 * width
    layer = 12 * tokens * width**2 + 2 * tokens**2 * width
    assert macs(graph) == 12 * layer + patches + classes
    assert round(macs(graph) / 1e6, 1) == millions


def test_examples_bring_images_without_labels() -> None:
    data, other = load_data("deit-tiny", shape=(3, 224, 224)), load_data("deit-tiny", heldout=True)
    assert (len(data.images), len(other.images)) == (16, 2)
    assert data.labels is None
    assert other.labels is None
    assert not np.array_equal(data.images[:2], other.images)
    assert np.array_equal(data.images[:8], load_data("vit-base").images)


def test_images_look_like_photographs() -> None:
    images = photographs(4, seed=5, size=64)
    assert images.dtype == np.float32
    mean, deviation = (np.array(values)[:, None, None] for values in (MEAN, DEVIATION))
    pixels = (images * deviation + mean) * 255
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.min() >= -1e-3
    assert pixels.max() <= 255 + 1e-3
    power = (np.abs(np.fft.rfft(images - images.mean((2, 3), keepdims=True), axis=-1)) ** 2).mean((0, 1, 2))
    slope = np.polyfit(np.log(np.arange(2, 24)), np.log(power[2:24]), 1)[0]
    assert -2.2 < slope < -0.8, "power along a line falls with about 1 / frequency and faster"


def test_random_weights_are_not_degenerate() -> None:
    model = deit_tiny()
    assert not model.training
    again = deit_tiny()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    images = photographs(2, seed=3)
    graph = capture(model, images[:1])
    values = evaluate(graph, images)
    for node in graph:
        assert 0.3 < values[node.name].std() < 5 or "softmax" in node.name, node.name
    for block in range(12):
        weights = values[f"blocks_{block}_attn_softmax"]
        keys = np.exp(-(weights * np.log(np.maximum(weights, 1e-30))).sum(-1)).mean()
        assert 5 < keys < 100, "attention is spread over some of the 197 keys, neither one nor all"
    stream = [values["embedding"], values["blocks_5_add_2"], values["blocks_11_add_2"]]
    sizes = [x.std() for x in stream]
    assert sizes[0] * 1.5 < sizes[1] < sizes[2]
    assert sizes[2] < 5 * sizes[0]
    for name in ("blocks_3_norm1", "blocks_3_attn_q", "blocks_3_attn_v", "blocks_3_mlp_fc1"):
        x = values[name] - values[name].mean()
        assert (x**4).mean() / (x**2).mean() ** 2 > 3.5, (
            f"{name} has heavier tails than a normal distribution"
        )
    one, two = values[graph.output][:, 0]
    assert np.corrcoef(one, two)[0, 1] < 0.9, "logits depend on the image"
