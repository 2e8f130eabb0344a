# SPDX-License-Identifier: Apache-2.0
"""Random PyTorch vision transformers, captured and quantized."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import hlsgen
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import Limits
from hlsgen.ir import Graph
from hlsgen.nn import MoE
from hlsgen.ops.route import CONVENTIONS
from hlsgen.quantization import QuantizeConfig

IMAGES = 12
"""Calibration images."""


def draw_quantized(shapes: Draw, values: Draw, limits: Limits) -> Graph:
    """The integer Graph of a model whose shape comes from `shapes`, whose weights come from `values`."""
    torch.manual_seed(values.integer(0, 1 << 30))
    model = _Model(shapes, values, limits).eval()
    images = values.reals(-1, 1, IMAGES * model.pixels).reshape(IMAGES, *model.image).astype(np.float32)
    images *= values.pick(0.01, 1.0, 50.0)
    example = (images[:1], 0) if model.tasks > 1 else images[:1]
    graph = hlsgen.capture(model, example)
    config = QuantizeConfig(logit_width=limits.logit_bits, activation_bits=limits.activation_bits,
                            numerator_bits=limits.numerator_bits)  # fmt: skip
    return hlsgen.quantize(graph, images, config).graph


class _WrittenRMSNorm(nn.Module):
    """As most models write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        normal = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * normal.type_as(x)


def _norm(shapes: Draw, width: int) -> nn.Module:
    kind = shapes.pick(nn.LayerNorm, nn.LayerNorm, nn.RMSNorm, _WrittenRMSNorm)
    return kind(width)


class _Block(nn.Module):
    def __init__(self, shapes: Draw, heads: int, width: int, tasks: int, experts: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(shapes, width), _norm(shapes, width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        hidden, self.experts = shapes.integer(1, 16), experts
        if experts:
            count = shapes.integer(1, 6)
            self.moe = MoE(
                width, hidden, count, shapes.integer(1, count), tasks=tasks,
                convention=shapes.pick(*CONVENTIONS), router_bias=shapes.chance(0.5),
                activation=shapes.pick("gelu", "gelu_tanh", "relu"),
            )  # fmt: skip
        else:
            act = shapes.pick(nn.GELU(), nn.GELU(approximate="tanh"), nn.ReLU())
            self.mlp = nn.Sequential(nn.Linear(width, hidden), act, nn.Linear(hidden, width))

    def forward(self, x: Tensor, task: Tensor | None) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = self.norm2(x)
        return x + (self.moe(y, task) if self.experts else self.mlp(y))


class _Model(nn.Module):
    """Images [B, C, H, W] -> logits for each task: of the first token, of all, or of their mean."""

    def __init__(self, shapes: Draw, values: Draw, limits: Limits) -> None:
        super().__init__()
        s = shapes
        patch, grid = (s.integer(1, 3), s.integer(1, 3)), (s.integer(1, 4), s.integer(1, 4))
        self.image = (s.integer(1, 3), patch[0] * grid[0], patch[1] * grid[1])
        self.pixels = int(np.prod(self.image))
        heads = s.pick(1, 1, 2, 3)
        width, prefix = heads * s.integer(2, 7), s.pick(0, 1, 1, 2)
        experts = limits.experts and (limits.tasks > 1 or s.chance(0.8))
        self.tasks = limits.tasks
        self.embed = nn.Conv2d(self.image[0], width, patch, stride=patch, bias=s.chance(0.7))
        self.prefix = nn.Parameter(torch.randn(1, prefix, width)) if prefix else None
        self.position = nn.Parameter(torch.randn(1, grid[0] * grid[1] + prefix, width))
        self.blocks = nn.ModuleList(
            _Block(s, heads, width, self.tasks, experts) for _ in range(s.pick(1, 1, 2))
        )
        self.norm = _norm(s, width)
        self.readouts = [s.pick("token", "all", "mean") for _ in range(self.tasks)]
        self.heads = nn.ModuleList(nn.Linear(width, s.integer(1, 9)) for _ in range(self.tasks))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(values.pick(1.0, 1.0, 1.0, 0.0, 4.0))

    def forward(self, images: Tensor, task: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = self.embed(images).flatten(2).transpose(1, 2)
        if self.prefix is not None:
            x = torch.cat([self.prefix.expand(len(x), -1, -1), x], 1)
        x = x + self.position
        for block in self.blocks:
            x = block(x, task)
        x = self.norm(x)
        rows = {"token": x[:, :1], "all": x, "mean": x.mean(1, keepdim=True)}
        results = [head(rows[readout]) for head, readout in zip(self.heads, self.readouts, strict=True)]
        return tuple(results) if len(results) > 1 else results[0]
