# SPDX-License-Identifier: Apache-2.0
"""Random float Graphs in which any op on tokens reads any other, in no order that a known model has."""

from __future__ import annotations

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Context,
    LayerNorm,
    Linear,
    Mean,
    Patches,
    RMSNorm,
    Scores,
    Select,
    Softmax,
)

IMAGE = (1, 6, 4)
OPS = ("linear", "norm", "activation", "add", "constant", "attention", "mean", "select")


def composition(seed: int, size: int = 6) -> Graph:
    """A Graph of `size` random ops behind an embedding of 6 tokens; the output is any of its tensors."""
    return _Composer(seed).build(size)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Random images [count, C, H, W] within -2..2."""
    values = np.random.default_rng(seed).normal(0.0, 0.7, (count, *IMAGE))
    return np.clip(values, -2, 2).astype(np.float32)


class _Composer:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng((77, seed))
        self.graph = GraphBuilder("image", TensorType(IMAGE))
        self.rows: list[str] = []
        """Tensors of the form [T, N]."""

    def build(self, size: int) -> Graph:
        patches = self.graph.add(
            "patches", Patches(patch=(2, 2), prefix=int(self.random.integers(2))), ["image"]
        )
        self.rows.append(self.linear(patches, int(self.random.choice([4, 6, 9]))))
        for _ in range(size):
            self.rows.append(getattr(self, str(self.random.choice(OPS)))(self.pick()))
        return self.graph.finish(self.rows[-1])

    def pick(self) -> str:
        """A tensor, more often a late one."""
        return self.rows[-1 - int(self.random.integers(len(self.rows)) * self.random.random())]

    def shape(self, name: str) -> tuple[int, int]:
        tokens, width = self.graph.type_of(name).shape
        return tokens, width

    def linear(self, x: str, width: int = 0) -> str:
        size = width or int(self.random.choice([3, 4, 6, 9]))
        weight = self.random.normal(0, 1.2 / self.shape(x)[1] ** 0.5, (size, self.shape(x)[1]))
        return self.graph.add("linear", Linear(weight=weight, bias=self.random.normal(0, 0.2, size)), [x])

    def norm(self, x: str) -> str:
        width = self.shape(x)[1]
        gamma, beta = self.random.uniform(0.5, 1.5, width), self.random.normal(0, 0.2, width)
        kind = RMSNorm if self.random.random() < 0.3 else LayerNorm
        return self.graph.add("norm", kind(gamma=gamma, beta=beta, eps=1e-3), [x])

    def activation(self, x: str) -> str:
        return self.graph.add("act", Activation(function=str(self.random.choice(["gelu", "relu"]))), [x])

    def add(self, x: str) -> str:
        """A sum with any tensor of the shape, perhaps itself."""
        same = [name for name in self.rows if self.shape(name) == self.shape(x)]
        return self.graph.add("sum", Add(), [x, str(self.random.choice(same))])

    def constant(self, x: str) -> str:
        return self.graph.add("shift", AddConstant(value=self.random.normal(0, 0.5, self.shape(x))), [x])

    def attention(self, x: str) -> str:
        """Queries, keys and values are any tensors of the width; keys and values of one length."""
        same = [name for name in self.rows if self.shape(name) == self.shape(x)]
        key, value = (str(self.random.choice(same)) for _ in range(2))
        width = self.shape(x)[1]
        heads = int(self.random.choice([h for h in (1, 2, 3) if width % h == 0]))
        scores = self.graph.add("scores", Scores(heads=heads, scale=(width / heads) ** -0.5), [x, key])
        return self.graph.add("context", Context(), [self.graph.add("soft", Softmax(), [scores]), value])

    def mean(self, x: str) -> str:
        return self.graph.add("mean", Mean(), [x])

    def select(self, x: str) -> str:
        tokens = self.shape(x)[0]
        start = int(self.random.integers(tokens))
        return self.graph.add(
            "chosen", Select(start=start, stop=int(self.random.integers(start, tokens)) + 1), [x]
        )
