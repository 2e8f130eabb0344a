# SPDX-License-Identifier: Apache-2.0
"""Transformers as small as they can be with every kind of command: for campaigns of thousands of images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hlsgen.ir import Graph
from hlsgen.nn import MoE
from hlsgen.pipeline import capture, quantize

EDGE, PATCH, WIDTH, HIDDEN, HEADS = 4, 2, 8, 6, 2
EXPERTS, TASKS = 3, 2


class TinyVit(nn.Module):
    """Images [B, 1, 4, 4] to 3 logits: the mean over 4 tokens, or with experts one head per task."""

    def __init__(self, experts: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.position = nn.Parameter(0.5 * torch.randn(1, (EDGE // PATCH) ** 2, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.experts = MoE(WIDTH, HIDDEN, EXPERTS, 2, tasks=TASKS) if experts else None
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 3) for _ in range(TASKS if experts else 1))

    def forward(self, images: Tensor, task: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = self.embed(images).flatten(2).transpose(1, 2) + self.position
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = self.norms[1](x)
        x = x + (self.mlp(y) if self.experts is None else self.experts(y, task))
        if self.experts is None:
            return self.heads[0](self.norms[2](x).mean(1))
        y = self.norms[2](x)
        return tuple(head(y[:, :1]) for head in self.heads)


def tiny(experts: bool) -> tuple[Graph, np.ndarray]:
    """A seeded integer Graph, and an image in integers."""
    torch.manual_seed(1)
    model = TinyVit(experts).eval()
    images = np.random.default_rng(1).normal(size=(32, 1, EDGE, EDGE)).astype(np.float32)
    quantized = quantize(capture(model, (images[:1], 0) if experts else images[:1]), images)
    return quantized.graph, quantized.quantize_input(images[:1]).astype(np.int8)[0]
