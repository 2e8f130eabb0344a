# SPDX-License-Identifier: Apache-2.0
"""Canonical float Graphs without a front end: random vision transformers and the shipped digits model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from hlsgen.ir import Graph, GraphBuilder, Source, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Context,
    LayerNorm,
    Linear,
    Mean,
    Patches,
    Scores,
    Select,
    Softmax,
)

WEIGHTS = Path(__file__).parents[2] / "examples" / "digits" / "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class Vit:
    """The shape of a vision transformer; `pool` is token, mean_norm, norm_mean, mean or token_plain."""

    image: tuple[int, int, int] = (1, 8, 8)
    patch: tuple[int, int] = (2, 2)
    prefix: int = 1
    width: int = 16
    heads: int = 2
    blocks: int = 2
    hidden: int = 24
    classes: int = 5
    pool: str = "token"
    function: str = "gelu"
    ends: int = 1
    """Tokens with a head of their own; the output is the sum of the heads."""
    seed: int = 0


DIGITS = Vit(width=32, heads=4, blocks=3, hidden=64, classes=10)


def images(shape: Vit, count: int, seed: int = 0) -> np.ndarray:
    """Random images [count, C, H, W] within -2..2."""
    random = np.random.default_rng(seed)
    return np.clip(random.normal(0.0, 0.6, (count, *shape.image)), -2, 2).astype(np.float32)


def random_vit(shape: Vit) -> Graph:
    """A float Graph with seeded random weights."""
    return Builder(shape, {}).build()


def digits_vit() -> Graph:
    """The digits model as the front end captures it."""
    return Builder(DIGITS, load_file(WEIGHTS)).build()


def without(graph: Graph, output: str) -> Graph:
    """The same graph ending at another tensor."""
    return replace(graph, outputs=(output,))


class Builder:
    """Builds a Vit from named arrays; arrays that are missing are drawn at random."""

    def __init__(self, shape: Vit, arrays: dict[str, np.ndarray]) -> None:
        self.shape, self.arrays = shape, arrays
        self.random = np.random.default_rng(shape.seed)
        self.graph = GraphBuilder("image", TensorType(shape.image))

    def array(self, name: str, *size: int, spread: float = 1.0, middle: float = 0.0) -> np.ndarray:
        if name in self.arrays:
            return self.arrays[name].reshape(size).astype(np.float64)
        return self.random.normal(middle, spread, size)

    def build(self) -> Graph:
        s, g = self.shape, self.graph
        channels, height, width = s.image
        size, count = channels * s.patch[0] * s.patch[1], height // s.patch[0] * (width // s.patch[1])
        patches = g.add("patches", Patches(patch=s.patch, prefix=s.prefix), ["image"])
        weight = self.array("patch_embed.weight", s.width, size, spread=size**-0.5)
        x = g.add("patch_embed", Linear(weight=weight, bias=np.zeros(s.width)), [patches])
        value = self.array("pos_embed", s.prefix + count, s.width, spread=0.5).copy()
        value[s.prefix :] += self.array("patch_embed.bias", s.width, spread=0.1)
        if s.prefix:
            value[0] += self.array("cls_token", s.width, spread=0.5)
        x = g.add("embedding", AddConstant(value=value), [x])
        for block in range(s.blocks):
            x = self.block(f"blocks.{block}", x)
        return g.finish(self.head(x))

    def block(self, name: str, x: str) -> str:
        s, g = self.shape, self.graph
        y = self.norm(f"{name}.norm1", x)
        weight = self.array(f"{name}.attn.qkv.weight", 3 * s.width, s.width, spread=1.3 * s.width**-0.5)
        bias = self.array(f"{name}.attn.qkv.bias", 3 * s.width, spread=0.1)
        parts = zip(np.split(weight, 3), np.split(bias, 3), "qkv", strict=True)
        node = name.replace(".", "_")
        q, k, v = (g.add(f"{node}_attn_{r}", Linear(weight=w, bias=b), [y]) for w, b, r in parts)
        scale = (s.width // s.heads) ** -0.5
        scores = g.add(f"{node}_scores", Scores(heads=s.heads, scale=scale), [q, k])
        context = g.add(f"{node}_context", Context(), [g.add(f"{node}_softmax", Softmax(), [scores]), v])
        x = g.add(f"{node}_add1", Add(), [x, self.linear(f"{name}.attn.proj", context, s.width)])
        hidden = self.linear(f"{name}.mlp.fc1", self.norm(f"{name}.norm2", x), s.hidden)
        hidden = g.add(f"{node}_act", Activation(function=s.function), [hidden])
        return g.add(f"{node}_add2", Add(), [x, self.linear(f"{name}.mlp.fc2", hidden, s.width)])

    def head(self, x: str) -> str:
        g, pool = self.graph, self.shape.pool
        if self.shape.ends > 1:
            return self.sum_of_heads(x)
        if pool in ("token", "token_plain"):
            x = g.add("token", Select(start=0, stop=1), [x])
        elif pool in ("mean", "mean_norm"):
            x = g.add("mean", Mean(), [x])
        if pool not in ("mean", "token_plain"):
            x = self.norm("norm", x)
        if pool == "norm_mean":
            x = g.add("mean", Mean(), [x])
        return self.linear("head", x, self.shape.classes)

    def sum_of_heads(self, x: str) -> str:
        g, total = self.graph, ""
        for end in range(self.shape.ends):
            token = self.norm(f"norm{end}", g.add(f"token{end}", Select(start=end, stop=end + 1), [x]))
            head = self.linear(f"head{end}", token, self.shape.classes)
            total = g.add(f"logits{end}", Add(), [total, head]) if total else head
        return total

    def norm(self, name: str, x: str) -> str:
        width = self.shape.width
        gamma = self.array(f"{name}.weight", width, spread=0.2, middle=1.0)
        op = LayerNorm(gamma=gamma, beta=self.array(f"{name}.bias", width, spread=0.2), eps=1e-5)
        return self.graph.add(name.replace(".", "_"), op, [x], Source(name, "model.py:1"))

    def linear(self, name: str, x: str, size: int) -> str:
        width = self.graph.type_of(x).shape[-1]
        weight = self.array(f"{name}.weight", size, width, spread=width**-0.5)
        op = Linear(weight=weight, bias=self.array(f"{name}.bias", size, spread=0.1))
        return self.graph.add(name.replace(".", "_"), op, [x], Source(name, "model.py:2"))
