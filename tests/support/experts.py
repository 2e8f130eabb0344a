# SPDX-License-Identifier: Apache-2.0
"""Small mixtures of experts for tests: a transformer whose routers can be bent to any routing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import hlsgen
from hlsgen.ir import Graph
from hlsgen.nn import MoE
from hlsgen.quantization.quantized import Quantized

WIDTH, HIDDEN = 12, 20


class Block(nn.Module):
    """Attention, then experts; behind the attention the sum over tokens of keys and values, if `linear`."""

    def __init__(self, moe: MoE, *, linear: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH) if linear else None
        self.moe = moe

    def forward(self, x: Tensor, task: Tensor | None) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        if self.qkv is not None:
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            x = x + q @ (k.mT @ v) * 0.1
        return x + self.moe(self.norm2(x), task)


@dataclass(frozen=True)
class Shape:
    """Experts, choices, tasks and convention; edge of the image, patches of 2; blocks.

    overlap: how far patches reach into all their neighbours. linear: blocks have linear attention, too.
    """

    experts: int = 4
    k: int = 2
    tasks: int = 2
    convention: str = "softmax_all"
    edge: int = 6
    blocks: int = 1
    token: bool = True
    overlap: int = 0
    linear: bool = False


class Model(nn.Module):
    """Images [B, 1, edge, edge] -> for each task logits of the first token, or of all others in turn."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        patches = (shape.edge // 2) ** 2
        self.shape = shape
        self.embed = nn.Conv2d(1, WIDTH, 2 + 2 * shape.overlap, stride=2, padding=shape.overlap)
        self.cls = nn.Parameter(torch.randn(1, 1, WIDTH)) if shape.token else None
        self.pos = nn.Parameter(0.5 * torch.randn(1, patches + shape.token, WIDTH))
        self.blocks = nn.ModuleList(
            Block(
                MoE(
                    WIDTH, HIDDEN, shape.experts, shape.k,
                    tasks=shape.tasks, convention=shape.convention, router_bias=True,
                ),
                linear=shape.linear,
            )
            for _ in range(shape.blocks)
        )  # fmt: skip
        self.norm = nn.LayerNorm(WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 3 + task) for task in range(shape.tasks))

    def forward(self, images: Tensor, task: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        x = self.embed(images).flatten(2).transpose(1, 2)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        x = x + self.pos
        for block in self.blocks:
            x = block(x, task)
        x = self.norm(x)
        results = [head(x[:, :1] if task % 2 == 0 else x[:, -2:]) for task, head in enumerate(self.heads)]
        return tuple(results) if len(results) > 1 else results[0]


@dataclass(frozen=True)
class Made:
    """A quantized model and integer images [N, 1, edge, edge]."""

    quantized: Quantized
    images: np.ndarray

    @property
    def graph(self) -> Graph:
        """The integer Graph."""
        return self.quantized.graph

    def loads(self, golden: dict[str, np.ndarray]) -> list[list[int]]:
        """Tokens of each expert, by routing."""
        found = []
        for name, value in golden.items():
            if name.endswith("route"):
                chosen = value[:, : value.shape[-1] // 2].astype(int).ravel()
                experts = next(
                    iter(self.graph.node(n.inputs[0]).type.shape[-1] for n in self.graph if n.name == name)
                )
                found.append(np.bincount(chosen, minlength=experts).tolist())
        return found


def make(shape: Shape, bias: list[float] | None = None, gain: float = 3.0, seed: int = 0) -> Made:
    """A seeded model; `bias` of every router, `gain` on its weights."""
    torch.manual_seed(seed)
    model = Model(shape).eval()
    with torch.no_grad():
        for block in model.blocks:
            assert isinstance(block, Block)
            assert block.moe.router_bias is not None
            block.moe.router_weight.mul_(gain)
            block.moe.router_bias.copy_(torch.zeros(shape.experts) if bias is None else torch.tensor(bias))
    images = np.random.default_rng(seed).normal(size=(32, 1, shape.edge, shape.edge)).astype(np.float32)
    example = (images[:1], 0) if shape.tasks > 1 else images[:1]
    quantized = hlsgen.quantize(hlsgen.capture(model, example), images)
    return Made(quantized, quantized.quantize_input(images).astype(np.int8))
