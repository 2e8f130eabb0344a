# SPDX-License-Identifier: Apache-2.0
"""Small integer Graphs of products of two tensors: heads, transposes, constants, what stands around."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, GraphBuilder, Op, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Constant,
    Context,
    LayerNorm,
    Linear,
    Matmul,
    MixedScores,
    Patches,
    Scores,
    Softmax,
    Transpose,
)
from hlsgen.quantization.quantized import quantize

IMAGE = (2, 6, 4)
TOKENS, WIDTH = 6, 12


class _Builder:
    """Tokens [6, 12] of an image, and what follows them."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.graph = GraphBuilder("image", TensorType(IMAGE))
        patches = self.add(Patches(patch=(2, 2), prefix=0), "image")
        embedded = self.linear(patches, WIDTH)
        self.x = self.add(AddConstant(value=self.values(TOKENS, WIDTH)), embedded)

    def add(self, op: Op, *inputs: str) -> str:
        return self.graph.add(type(op).__name__.lower(), op, list(inputs))

    def values(self, *shape: int) -> np.ndarray:
        return self.random.normal(0, 1, shape)

    def linear(self, x: str, size: int) -> str:
        width = self.graph.type_of(x).shape[1]
        return self.add(Linear(weight=self.values(size, width) / width**0.5, bias=self.values(size)), x)

    def norm(self, x: str) -> str:
        width = self.graph.type_of(x).shape[1]
        return self.add(LayerNorm(gamma=1 + self.values(width) / 4, beta=self.values(width), eps=1e-3), x)

    def product(self, a: str, b: str, heads: int = 1, *, transposed: bool = False) -> str:
        return self.add(Matmul(heads=heads, transposed=transposed, scale=0.4), a, b)

    def constant(self, *shape: int) -> str:
        return self.add(Constant(value=self.values(*shape)), "image")


def _linear_attention(b: _Builder) -> str:
    """Q (KᵀV), by head, then a residual connection."""
    y = b.norm(b.x)
    q, k, v = (b.linear(y, WIDTH) for _ in range(3))
    state = b.product(b.add(Transpose(heads=3), k), v, 3)
    return b.add(Add(), b.x, b.linear(b.product(q, state, 3), WIDTH))


def _mixer(b: _Builder) -> str:
    """A linear layer over tokens: there and back by transposes of all channels."""
    turned = b.add(Transpose(heads=1), b.norm(b.x))
    mixed = b.linear(b.add(Activation(function="gelu"), b.linear(turned, 7)), TOKENS)
    return b.add(Add(), b.x, b.add(Transpose(heads=1), mixed))


def _probe(b: _Builder) -> str:
    """Learned queries against the tokens, without a softmax; values twice as wide as keys."""
    queries, v = b.constant(5, WIDTH), b.linear(b.x, 2 * WIDTH)
    weights = b.product(queries, b.linear(b.x, WIDTH), transposed=True)
    return b.linear(b.product(weights, v, 2), 5)


def _learned_attention(b: _Builder) -> str:
    """Softmax attention of learned queries: fewer queries than keys, values wider than keys."""
    queries, v = b.constant(3, WIDTH), b.linear(b.x, 2 * WIDTH)
    scores = b.add(Scores(heads=2, scale=0.4), queries, b.linear(b.x, WIDTH))
    return b.add(Context(), b.add(Softmax(), scores), v)


def _fixed_mix(b: _Builder) -> str:
    """A fixed matrix that mixes the tokens of all heads, its result in a residual addition and a table."""
    mixed = b.product(b.constant(TOKENS, TOKENS), b.linear(b.x, WIDTH), 3)
    return b.linear(b.add(Activation(function="relu"), b.add(Add(), mixed, b.x)), 3)


def _gram(b: _Builder) -> str:
    """A tensor by itself, by head: [6, 3 * 6]; and the table of the result."""
    return b.add(Activation(function="gelu"), b.product(b.x, b.x, 3, transposed=True))


def _talking(b: _Builder) -> str:
    """Scores are mixed from maps, and contexts from heads."""
    q, k, v = (b.linear(b.x, WIDTH) for _ in range(3))
    scores = b.add(MixedScores(matrix=b.values(4, 3)), b.product(q, k, 3, transposed=True))
    contexts = b.add(Context(shared=3), b.add(Softmax(), scores), v)
    mix = np.kron(b.values(1, 4), np.eye(WIDTH))
    return b.linear(b.add(Linear(weight=mix, bias=np.zeros(WIDTH)), contexts), WIDTH)


GRAPHS: Mapping[str, Callable[[_Builder], str]] = {
    make.__name__.strip("_"): make
    for make in (_linear_attention, _mixer, _probe, _learned_attention, _fixed_mix, _gram, _talking)
}


def product_graphs() -> tuple[Graph, ...]:
    """The integer Graphs, each quantized with random images."""
    graphs = []
    images = np.random.default_rng(5).normal(0, 1, (4, *IMAGE)).astype(np.float32)
    for seed, make in enumerate(GRAPHS.values()):
        builder = _Builder(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QuantizationWarning)
            graphs.append(quantize(builder.graph.finish(make(builder)), images).graph)
    return tuple(graphs)
