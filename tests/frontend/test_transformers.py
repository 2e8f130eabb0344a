# SPDX-License-Identifier: Apache-2.0
"""Models of `transformers`: outputs by name, both attention implementations, odd sizes, refusals."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

import hlsgen
from hlsgen.errors import UnsupportedModel
from hlsgen.examples.vit import transformers_models
from hlsgen.examples.vit.model import initialise
from hlsgen.frontend.capture import capture
from hlsgen.frontend.inputs.model import load_model
from hlsgen.frontend.inspect import inspect
from hlsgen.frontend.read.archive import load_archive
from hlsgen.ir import Graph, evaluate
from hlsgen.ops import Add, Linear, Patches, Scores

SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 10,
}
ODD = SMALL | {
    "hidden_size": 63,
    "num_attention_heads": 7,
    "intermediate_size": 101,
    "image_size": (21, 35),
    "patch_size": 7,
    "num_channels": 2,
    "num_labels": 5,
    "qkv_bias": False,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
CLASSES = {
    "vit": (ViTConfig, ViTForImageClassification, 1),
    "deit": (DeiTConfig, DeiTForImageClassification, 2),
    "teacher": (DeiTConfig, DeiTForImageClassificationWithTeacher, 2),
}
SIZES = {"small": SMALL, "odd": ODD}


@functools.cache
def model(name: str, attention: str, size: str) -> nn.Module:
    config, made, _ = CLASSES[name]
    return initialise(made._from_config(config(**SIZES[size], attn_implementation=attention)), seed=4)


def images(size: str, count: int) -> np.ndarray:
    height, width = (21, 35) if size == "odd" else (32, 32)
    channels = SIZES[size].get("num_channels", 3)
    return np.random.default_rng(6).normal(size=(count, channels, height, width)).astype(np.float32)


def same(module: nn.Module, graph: Graph, pictures: np.ndarray) -> None:
    """The graph in float64 equals the logits in float64 up to float32 folding of its weights."""
    found = evaluate(graph, pictures)[graph.output][:, 0]
    with torch.no_grad():
        wanted = copy.deepcopy(module).double()(torch.from_numpy(pictures).double()).logits.numpy()
    assert wanted.std(0).min() > 1e-2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CLASSES)
def test_the_graph_computes_the_same(name: str, attention: str, size: str) -> None:
    module, pictures = model(name, attention, size), images(size, 3)
    assert module.config._attn_implementation == attention  # type: ignore[union-attr]
    graph = capture(module, {"pixel_values": pictures[:1]})
    same(module, graph, pictures)
    cut = graph.node("patches").op
    assert isinstance(cut, Patches)
    assert cut.prefix == CLASSES[name][2]
    assert isinstance(graph.node(graph.output).op, Add if name == "teacher" else Linear)
    assert len([node for node in graph if isinstance(node.op, Scores)]) == 2


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_relative_position_bias(attention: str) -> None:
    """BEiT as it is: a table of positions for each layer, added to the scores."""
    sizes = SMALL | {"use_relative_position_bias": True, "attn_implementation": attention}
    config = BeitConfig(**sizes)
    module, pictures = initialise(BeitForImageClassification._from_config(config), seed=4), images("small", 3)
    for name, parameter in module.named_parameters():
        if "relative_position_bias_table" in name:
            nn.init.normal_(parameter)
    graph = capture(module, {"pixel_values": pictures[:1]})
    same(module, graph, pictures)
    biases = [node.op.bias for node in graph if isinstance(node.op, Scores)]
    assert [bias.shape for bias in biases if bias is not None] == [(4, 17, 17)] * 2


def test_names_are_the_modules() -> None:
    graph = capture(model("teacher", "sdpa", "small"), images("small", 1))
    names = [node.name for node in graph]
    assert names[3:8] == [
        "deit_layers_0_layernorm_before",
        "deit_layers_0_attention_q_proj",
        "deit_layers_0_attention_k_proj",
        "deit_layers_0_attention_v_proj",
        "deit_layers_0_attention_scores",
    ]
    assert {"cls_classifier", "distillation_classifier"} <= set(names)
    assert graph.node("deit_layers_1_mlp_fc1").source.module == "deit.layers.1.mlp.fc1"


def test_every_way_in_gives_one_graph(tmp_path: Path) -> None:
    module, pixels = model("teacher", "eager", "odd"), torch.from_numpy(images("odd", 1))
    wanted = str(capture(module, pixels))
    exported = torch.export.export(module, (), {"pixel_values": pixels})
    torch.export.save(exported, tmp_path / "model.pt2")
    archive = load_archive(tmp_path / "model.pt2")
    assert [str(capture(one)) for one in (exported, archive)] == [wanted] * 2


def test_two_heads_through_the_whole_compiler() -> None:
    pictures = images("small", 32)
    graph = capture(model("teacher", "sdpa", "small"), pictures[:1])
    quantized = hlsgen.quantize(graph, pictures)
    assert quantized.report.tensor(graph.output).sqnr_db > 20
    design = hlsgen.compile(quantized, board="zcu102", array="4x8x8")
    assert design.simulate("program", samples=2).images == 2


@pytest.mark.parametrize(
    ("factory", "tokens", "parameters"),
    [("deit_tiny", 198, 5_717_800), ("deit_tiny_distilled", 198, 5_910_800)],
)
def test_full_size_factories(factory: str, tokens: int, parameters: int) -> None:
    loaded = load_model(f"{transformers_models.__name__}:{factory}", (3, 224, 224))
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) == parameters
    report = inspect(loaded.model, loaded.example)
    assert report.problems == ()
    assert all(use.supported for use in report.ops)
    assert report.graph is not None
    assert report.graph.node("embedding").type.shape == (tokens, 192)
    assert report.graph.type_of(report.graph.output).shape == (1, 1000)


def test_checks_of_a_model_that_is_refused_are_supported() -> None:
    module = copy.deepcopy(model("vit", "eager", "small"))
    module.classifier = nn.Sequential(module.classifier, Sums())  # type: ignore[arg-type]
    report = inspect(module, images("small", 1))
    assert [use.op for use in report.ops if not use.supported] == ["aten.cumprod.default"]


class Sums(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cumprod(x, -1)


SWIN: dict[str, Any] = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "num_labels": 5}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "sizes",
    [
        {"image_size": 32, "patch_size": 4, "window_size": 4},
        pytest.param({"image_size": 36, "patch_size": 4, "window_size": 4}, marks=pytest.mark.slow),
        pytest.param({"image_size": 48, "patch_size": 2, "window_size": 7}, marks=pytest.mark.slow),
    ],
    ids=lambda sizes: str(sizes["image_size"]),
)
def test_swin(sizes: dict[str, Any], attention: str) -> None:
    """Windows, shifts, relative biases, odd grids and patch merging: gathers and attention under masks."""
    made = SwinForImageClassification._from_config(SwinConfig(**SWIN, **sizes), attn_implementation=attention)
    module = initialise(made.eval(), 1)
    size = sizes["image_size"]
    pictures = np.random.default_rng(1).normal(size=(2, 3, size, size)).astype(np.float32)
    graph = capture(module, pictures[:1])
    names = [type(node.op).__name__ for node in graph]
    assert names.count("Scores") == 4
    assert "Matmul" not in names
    wanted = module(torch.from_numpy(pictures)).logits.detach().numpy()
    found = evaluate(graph, pictures)[graph.output].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_dynamic_batch_is_refused() -> None:
    module, pixels = model("deit", "sdpa", "small"), torch.from_numpy(images("small", 2))
    dynamic = {"pixel_values": {0: torch.export.Dim.AUTO}}
    exported = torch.export.export(module, (), {"pixel_values": pixels}, dynamic_shapes=dynamic)
    with pytest.raises(UnsupportedModel, match=r"^input shape must be static, not dynamic in dimension 0 \("):
        capture(exported)
