# SPDX-License-Identifier: Apache-2.0
"""Published models with windows, relative positions and several outputs: equal in floats and in integers.

Each is a class of `transformers` or timm as it is, small, with random weights.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    Data2VecVisionConfig,
    Data2VecVisionForImageClassification,
    Dinov2WithRegistersBackbone,
    Dinov2WithRegistersConfig,
    MaskFormerSwinBackbone,
    MaskFormerSwinConfig,
    SwinConfig,
    SwinForImageClassification,
    VitDetBackbone,
    VitDetConfig,
)

from benchmarks.zoo.pytorch_image_models import library
from hlsgen.errors import QuantizationWarning
from hlsgen.examples.attention.host import seeded
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate, quantize_images, results
from hlsgen.lower import lower
from hlsgen.lower.size import ArrayShape
from hlsgen.machine.run import trace
from hlsgen.machine.run.interpreter import Interpreter
from hlsgen.quantization import quantize
from hlsgen.quantization.config import QuantizeConfig

ARRAY = ArrayShape(rows=8, columns=8, depth=8)
SWIN: dict[str, Any] = {"embed_dim": 16, "patch_size": 4, "mlp_ratio": 2.0}
VIT: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
VIT |= {"image_size": 32, "num_labels": 5}
BEIT = VIT | {"intermediate_size": 48}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
WINDOWS = VIT | {"mlp_ratio": 2, "window_size": 3, "window_block_indices": [0], "pretrain_image_size": 32}
WINDOWS |= {"out_features": STAGES[:2]}


def configured(made: Any, config: Any, sizes: dict[str, Any]) -> nn.Module:
    """A class of `transformers` with its configuration."""
    return made(config(**sizes))


def timm(name: str, arguments: dict[str, Any]) -> nn.Module:
    """A class of timm by its module and name."""
    library()
    module, _, made = name.partition(".")
    sizes = {"num_classes": 5} | arguments
    return getattr(importlib.import_module(f"timm.models.{module}"), made)(**sizes)


SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
TIMM_SWIN = {"patch_size": 4, "embed_dim": 16, "depths": (1, 2), "num_heads": (2, 4), "window_size": 4}
RELATIVE = "vision_transformer_relpos.VisionTransformerRelPos"
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "swin": (
        lambda: configured(
            SwinForImageClassification,
            SwinConfig,
            SWIN
            | {"depths": [2, 1], "num_heads": [2, 4], "window_size": 4, "image_size": 36, "num_labels": 5},
        ),
        (36, 36),
    ),
    "maskformer's swin, four stages": (
        lambda: configured(
            MaskFormerSwinBackbone,
            MaskFormerSwinConfig,
            SWIN
            | {"depths": [1, 2, 1, 1], "num_heads": [2, 2, 4, 4], "window_size": 2, "image_size": 32}
            | {"out_features": STAGES},
        ),
        (32, 32),
    ),
    "beit, a bias of each layer": (
        lambda: configured(
            BeitForImageClassification, BeitConfig, BEIT | {"use_relative_position_bias": True}
        ),
        (32, 32),
    ),
    "data2vec, a shared bias": (
        lambda: configured(
            Data2VecVisionForImageClassification,
            Data2VecVisionConfig,
            BEIT | {"use_shared_relative_position_bias": True},
        ),
        (32, 32),
    ),
    "vitdet, padded windows and a global block": (
        lambda: configured(VitDetBackbone, VitDetConfig, WINDOWS),
        (40, 40),
    ),
    "vitdet with positions that meet queries": (
        lambda: configured(
            VitDetBackbone, VitDetConfig, WINDOWS | {"use_relative_position_embeddings": True}
        ),
        (40, 40),
    ),
    "dinov2 with registers": (
        lambda: configured(
            Dinov2WithRegistersBackbone,
            Dinov2WithRegistersConfig,
            VIT | {"mlp_ratio": 2, "num_register_tokens": 3, "out_features": STAGES[:2]},
        ),
        (32, 32),
    ),
    "timm's swin, a grid of no whole windows": (
        lambda: timm("swin_transformer.SwinTransformer", TIMM_SWIN | {"img_size": (36, 44)}),
        (36, 44),
    ),
    "timm's beit": (
        lambda: timm("beit.Beit", SMALL | {"use_abs_pos_emb": False, "use_rel_pos_bias": True}),
        (32, 32),
    ),
    "timm's table of positions": (lambda: timm(RELATIVE, SMALL | {"rel_pos_type": "bias"}), (32, 32)),
    "timm's positions by a network": (
        lambda: timm(RELATIVE, SMALL | {"rel_pos_type": "mlp", "rel_pos_dim": 16, "class_token": True}),
        (32, 32),
    ),
}


def pictures(size: tuple[int, int], count: int) -> np.ndarray:
    """Pictures that differ in large shapes, and in noise."""
    random = np.random.default_rng(1)
    shapes = torch.from_numpy(random.normal(size=(count, 3, 4, 4)))
    large = nn.functional.interpolate(shapes, size=size, mode="bilinear").numpy()
    return (large + 0.5 * random.normal(size=(count, 3, *size))).astype(np.float32)


def outputs(model: nn.Module, images: np.ndarray) -> list[np.ndarray]:
    """What the model returns in float64, [N, ...] each."""
    with torch.no_grad():
        found: Any = copy.deepcopy(model).double()(torch.from_numpy(images).double())
    if isinstance(found, torch.Tensor):
        return [found.numpy()]
    found = getattr(found, "feature_maps", None) or [found.logits]
    return [part.numpy() for part in found]


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_is_equal(name: str) -> None:
    if name.startswith("timm") and importlib.util.find_spec("timm") is None:
        pytest.skip("needs timm")
    make, size = MODELS[name]
    model, images = seeded(make()), pictures(size, 40)
    graph = capture(model, images[:1])
    wanted = outputs(model, images[32:])
    found = results(graph, images[32:])
    for mine, theirs in zip(graph.shown(found).values(), wanted, strict=True):
        largest = np.abs(theirs).max()
        np.testing.assert_allclose(mine.reshape(theirs.shape), theirs, rtol=0, atol=1e-5 * largest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        integer = quantize(graph, images[:32], QuantizeConfig(centred=True)).graph
    pixels = quantize_images(images[32:], integer.input_type)
    for output, mine in results(integer, pixels).items():
        scale, theirs = integer.type_of(integer.results()[output]).scale or 1.0, found[output]
        signal, noise = theirs - theirs.mean(0), mine * scale - theirs
        decibels = 10 * np.log10((signal**2).sum() / (noise**2).sum())
        print(f"{name}: {decibels:.1f} dB")
        assert decibels >= 25
    lowered = lower(integer, ARRAY)
    program = lowered.program
    run = Interpreter(program.parameters, lowered.image.pack()).run(program.input.pack(pixels[0], 8))
    assert trace.compare(program, run.records, evaluate(integer, pixels[0])) is None
