# SPDX-License-Identifier: Apache-2.0
"""Models of Hugging Face's `transformers`, built from their configuration: nothing is downloaded.

To compile a checkpoint of your own, write such a factory with `Class.from_pretrained(folder)` and give it as
MODEL, `package.module:factory`, with your preprocessed images as calibration data.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    ViTConfig,
    ViTForImageClassification,
)

from hlsgen.examples.vit.model import initialise

BASE: dict[str, Any] = {"num_labels": 1000}
TINY: dict[str, Any] = {
    "hidden_size": 192,
    "num_attention_heads": 3,
    "intermediate_size": 768,
    "num_labels": 1000,
}


def vit_base() -> nn.Module:
    """ViT-B/16: 197 tokens; images [B, 3, 224, 224]."""
    return initialise(ViTForImageClassification(ViTConfig(**BASE)))


def deit_tiny() -> nn.Module:
    """DeiT-Tiny with a distillation token that no head reads: 198 tokens; images [B, 3, 224, 224]."""
    return initialise(DeiTForImageClassification(DeiTConfig(**TINY)))


def deit_tiny_distilled() -> nn.Module:
    """DeiT-Tiny, the mean of two heads: 198 tokens; images [B, 3, 224, 224]."""
    return initialise(DeiTForImageClassificationWithTeacher(DeiTConfig(**TINY)))
