# SPDX-License-Identifier: Apache-2.0
"""Blocks of published models that are no pre-norm transformer's, as float Graphs."""

from __future__ import annotations

import numpy as np
from quantization.graphs import Builder, Vit

from hlsgen.ops import Activation, Add, Context, Linear, Scores, Softmax


class Host(Builder):
    """Blocks out of an attention and an MLP that a subclass puts together."""

    def __init__(self, shape: Vit) -> None:
        super().__init__(shape, {})

    def attention(self, name: str, y: str) -> str:
        """[T, N] -> [T, N]: the context, before its projection."""
        width, g = self.shape.width, self.graph
        q, k, v = (self.linear(f"{name}.{role}", y, width) for role in "qkv")
        scale = (width // self.shape.heads) ** -0.5
        scores = g.add(f"{name}_scores", Scores(heads=self.shape.heads, scale=scale), [q, k])
        return g.add(f"{name}_context", Context(), [g.add(f"{name}_softmax", Softmax(), [scores]), v])

    def hidden(self, name: str, y: str) -> str:
        up = self.linear(f"{name}.up", y, self.shape.hidden)
        return self.graph.add(f"{name}_act", Activation(function=self.shape.function), [up])

    def down(self, name: str, y: str) -> str:
        return self.linear(name, y, self.shape.width)

    def add(self, x: str, y: str) -> str:
        return self.graph.add("sum", Add(), [x, y])


class PostNorm(Host):
    """x = norm(x + f(x)): Vaswani et al. 2017."""

    def block(self, name: str, x: str) -> str:
        x = self.norm(f"{name}.norm1", self.add(x, self.down(f"{name}.proj", self.attention(name, x))))
        return self.norm(f"{name}.norm2", self.add(x, self.down(f"{name}.down", self.hidden(name, x))))


class Parallel(Host):
    """x + attention(norm(x)) + mlp(norm(x)): Dehghani et al. 2023 (ViT-22B)."""

    def block(self, name: str, x: str) -> str:
        y = self.norm(f"{name}.norm", x)
        first = self.add(x, self.down(f"{name}.proj", self.attention(name, y)))
        return self.add(first, self.down(f"{name}.down", self.hidden(name, y)))


class SubNorm(Host):
    """A second norm before each projection: Wang et al. 2022 (Magneto), BEiT-3."""

    def block(self, name: str, x: str) -> str:
        context = self.attention(name, self.norm(f"{name}.norm1", x))
        x = self.add(x, self.down(f"{name}.proj", self.norm(f"{name}.inner", context)))
        hidden = self.hidden(name, self.norm(f"{name}.norm2", x))
        return self.add(x, self.down(f"{name}.down", hidden))


class NoNorm(Host):
    """Linear layers read the residual stream: no norm in the block."""

    def block(self, name: str, x: str) -> str:
        x = self.add(x, self.down(f"{name}.proj", self.attention(name, x)))
        return self.add(x, self.down(f"{name}.down", self.hidden(name, x)))


class PreStream(Host):
    """A norm into the residual stream, then pre-norm blocks: Radford et al. 2021 (CLIP)."""

    def block(self, name: str, x: str) -> str:
        x = self.norm(f"{name}.pre", x)
        x = self.add(x, self.down(f"{name}.proj", self.attention(name, self.norm(f"{name}.norm1", x))))
        return self.add(x, self.down(f"{name}.down", self.hidden(name, self.norm(f"{name}.norm2", x))))


class Bare(Host):
    """Attention without projections: queries, keys and values are the normalised tokens."""

    def attention(self, name: str, y: str) -> str:
        scale, g = (self.shape.width // self.shape.heads) ** -0.5, self.graph
        scores = g.add(f"{name}_scores", Scores(heads=self.shape.heads, scale=scale), [y, y])
        return g.add(f"{name}_context", Context(), [g.add(f"{name}_softmax", Softmax(), [scores]), y])

    def block(self, name: str, x: str) -> str:
        return self.add(x, self.attention(name, self.norm(f"{name}.norm", x)))


class Chain(Host):
    """Linear layers behind linear layers, and an activation behind an activation."""

    def block(self, name: str, x: str) -> str:
        y = self.linear(f"{name}.two", self.linear(f"{name}.one", self.norm(f"{name}.norm", x), 20), 12)
        y = self.graph.add("act", Activation(function="gelu"), [self.hidden(name, y)])
        wide = Linear(weight=np.eye(self.shape.width, self.shape.hidden), bias=np.zeros(self.shape.width))
        return self.add(x, self.graph.add("wide", wide, [y]))


HOSTS = (PostNorm, Parallel, SubNorm, NoNorm, PreStream, Bare, Chain)
