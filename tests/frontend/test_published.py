# SPDX-License-Identifier: Apache-2.0
"""Published models whose positions are computed: resampled, counted, looked up, all by constants."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.variants import seeded
from torch import Tensor, nn
from transformers import Siglip2VisionConfig, Siglip2VisionModel
from transformers.models.idefics.configuration_idefics import IdeficsVisionConfig
from transformers.models.idefics.vision import IdeficsVisionTransformer
from transformers.models.idefics2.configuration_idefics2 import Idefics2VisionConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

from benchmarks.zoo.pytorch_image_models import library
from hlsgen.frontend.capture import capture
from hlsgen.ir import evaluate

BLOCKS: dict[str, Any] = {"intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES: dict[str, Any] = {"image_size": 32, "patch_size": 8}


class Siglip2(nn.Module):
    """SigLIP 2 reads patches and the shape of their grid, and resamples its positions to it."""

    def __init__(self, head: bool = False) -> None:
        super().__init__()
        config = Siglip2VisionConfig(
            **BLOCKS, hidden_size=32, num_patches=16, patch_size=8, vision_use_head=head
        )
        self.model, self.head = Siglip2VisionModel(config), head

    def forward(self, image: Tensor) -> Tensor:
        patches = image.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 4, 5, 1).reshape(1, -1, 192)
        result = self.model(
            pixel_values=patches,
            pixel_attention_mask=torch.ones(1, patches.shape[1], dtype=torch.int64),
            spatial_shapes=torch.tensor([[image.shape[2] // 8, image.shape[3] // 8]]),
        )
        return result.pooler_output if self.head else result.last_hidden_state


class Hidden(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(pixel_values=image).last_hidden_state


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "idefics": (
        lambda: Hidden(IdeficsVisionTransformer(IdeficsVisionConfig(**BLOCKS, **SIZES, embed_dim=32))),
        (32, 32),
    ),
    "idefics2": (
        lambda: Hidden(Idefics2VisionTransformer(Idefics2VisionConfig(**BLOCKS, **SIZES, hidden_size=32))),
        (32, 32),
    ),
    "idefics3": (
        lambda: Hidden(Idefics3VisionTransformer(Idefics3VisionConfig(**BLOCKS, **SIZES, hidden_size=32))),
        (32, 32),
    ),
    "smolvlm": (
        lambda: Hidden(SmolVLMVisionTransformer(SmolVLMVisionConfig(**BLOCKS, **SIZES, hidden_size=32))),
        (32, 32),
    ),
    "siglip2": (Siglip2, (32, 32)),
    "siglip2 on another grid": (Siglip2, (24, 48)),
    "siglip2 with its pooling": (lambda: Siglip2(head=True), (32, 32)),
}


def check(model: nn.Module, size: tuple[int, int]) -> None:
    """The graph in float64 equals the model in float64."""
    images = np.random.default_rng(1).normal(size=(2, 3, *size)).astype(np.float32)
    graph = capture(model, images[:1])
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        wanted = np.concatenate([double(torch.from_numpy(image[None]).double()).numpy() for image in images])
    found = evaluate(graph, images)[graph.output].reshape(wanted.shape)
    assert wanted.std(0).mean() > 1e-2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", MODELS)
def test_positions_of_constants_are_folded(name: str) -> None:
    make, size = MODELS[name]
    check(seeded(make()), size)


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
@pytest.mark.parametrize("size", [(32, 32), (48, 32)])
def test_an_image_of_any_size(size: tuple[int, int]) -> None:
    """Timm's `dynamic_img_size` resamples positions where the grid is another one."""
    library()
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=5, dynamic_img_size=True
    )
    check(seeded(model), size)
