# SPDX-License-Identifier: Apache-2.0
"""Random float Graphs in which any op on tokens reads any other, in no order that a known model has."""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.fuzz.draw import Draw
from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Constant,
    Context,
    GroupedLinear,
    LayerNorm,
    Linear,
    Matmul,
    Mean,
    Patches,
    RMSNorm,
    Scores,
    Select,
    Softmax,
    Transpose,
)
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.quantized import quantize

CALIBRATION = 4
"""Images that a composition is quantized with: random models are not accurate anyhow."""


def draw_composed(draw: Draw, logit_bits: int) -> Graph:
    """The integer Graph of a composition."""
    graph = draw_composition(draw)
    images, config = draw_pictures(draw, graph, CALIBRATION), QuantizeConfig(logit_width=logit_bits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        return quantize(graph, images, config).graph


def draw_composition(draw: Draw) -> Graph:
    """A Graph of up to 7 random ops behind an embedding; the output is any of its tensors."""
    return _Composer(draw).build(draw.integer(1, 7))


def draw_pictures(draw: Draw, graph: Graph, count: int) -> np.ndarray:
    """Random images [count, C, H, W] within -2..2."""
    shape = (count, *graph.input_type.shape)
    return draw.reals(-2, 2, int(np.prod(shape))).reshape(shape).astype(np.float32)


class _Composer:
    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.image = draw.pick((1, 6, 4), (2, 4, 2), (1, 2, 2))
        self.graph = GraphBuilder("image", TensorType(self.image))
        self.rows: list[str] = []
        """Tensors of the form [T, N]."""

    def build(self, size: int) -> Graph:
        patches = self.graph.add("patches", Patches(patch=(2, 2), prefix=self.draw.integer(0, 1)), ["image"])
        self.rows.append(self.linear(patches))
        ops = (
            self.linear,
            self.norm,
            self.activation,
            self.add,
            self.constant,
            self.attention,
            self.mean,
            self.select,
            self.transpose,
            self.product,
            self.product,
            self.learned,
            self.grouped,
        )
        for _ in range(size):
            self.rows.append(self.draw.pick(*ops)(self.any()))
        return self.graph.finish(self.rows[-1])

    def any(self) -> str:
        """A tensor, more often a late one."""
        return self.rows[-1 - int(self.draw.integer(0, len(self.rows) - 1) * self.draw.real(0, 1))]

    def like(self, x: str) -> str:
        """Any tensor of the shape of another, perhaps that one."""
        return self.draw.pick(*(name for name in self.rows if self.shape(name) == self.shape(x)))

    def shape(self, name: str) -> tuple[int, int]:
        tokens, width = self.graph.type_of(name).shape
        return tokens, width

    def values(self, spread: float, *shape: int) -> np.ndarray:
        return self.draw.reals(-spread, spread, int(np.prod(shape))).reshape(shape)

    def linear(self, x: str) -> str:
        size, width = self.draw.pick(1, 3, 4, 4, 6, 6, 9), self.shape(x)[1]
        op = Linear(weight=self.values(2.0 / width**0.5, size, width), bias=self.values(0.3, size))
        return self.graph.add("linear", op, [x])

    def grouped(self, x: str) -> str:
        """Parts of a row with weights of their own."""
        width, each = self.shape(x)[1], self.draw.pick(1, 2, 3)
        groups = self.heads(width)
        weight = self.values(2.0 * (groups / width) ** 0.5, groups * each, width // groups)
        op = GroupedLinear(groups=groups, weight=weight, bias=self.values(0.3, groups * each))
        return self.graph.add("grouped", op, [x])

    def norm(self, x: str) -> str:
        width, kind = self.shape(x)[1], self.draw.pick(LayerNorm, LayerNorm, RMSNorm)
        gamma, beta = 1 + self.values(0.5, width), self.values(0.3, width)
        heads = self.heads(width) if self.draw.pick(True, False) else 1
        op = kind(gamma=gamma, beta=beta, eps=1e-3, heads=heads)
        return self.graph.add("norm", op, [x])

    def activation(self, x: str) -> str:
        return self.graph.add("activation", Activation(function=self.draw.pick("gelu", "relu")), [x])

    def add(self, x: str) -> str:
        return self.graph.add("sum", Add(), [x, self.like(x)])

    def constant(self, x: str) -> str:
        return self.graph.add("shifted", AddConstant(value=self.values(0.8, *self.shape(x))), [x])

    def heads(self, *widths: int) -> int:
        """Heads that divide all widths."""
        return self.draw.pick(*(heads for heads in (1, 2, 3) if not any(width % heads for width in widths)))

    def attention(self, x: str) -> str:
        """Keys are any tensor as wide as the queries, values any with as many rows as the keys."""
        width = self.shape(x)[1]
        key = self.draw.pick(*(name for name in self.rows if self.shape(name)[1] == width))
        value = self.draw.pick(*(name for name in self.rows if self.shape(name)[0] == self.shape(key)[0]))
        heads = self.heads(width, self.shape(value)[1])
        scores = self.graph.add("scores", Scores(heads=heads, scale=(width / heads) ** -0.5), [x, key])
        return self.graph.add("context", Context(), [self.graph.add("softmax", Softmax(), [scores]), value])

    def transpose(self, x: str) -> str:
        return self.graph.add("transposed", Transpose(heads=self.heads(self.shape(x)[1])), [x])

    def product(self, x: str) -> str:
        """Times any tensor that fits, or its transpose; if there is none, times a linear layer of itself."""
        width, transposed = self.shape(x)[1], self.draw.pick(True, False)
        fitting = [name for name in self.rows if self.shape(name)[1 if transposed else 0] == width]
        if not fitting:
            fitting, transposed = [x], True
        other = self.draw.pick(*fitting)
        heads = self.heads(*self.shape(other)) if transposed else 1
        if not transposed and self.draw.pick(True, False):
            heads = self.heads(self.shape(other)[1])  # all heads meet the same rows
        op = Matmul(heads=heads, transposed=transposed, scale=self.draw.real(0.1, 1.0))
        return self.graph.add("product", op, [x, other])

    def learned(self, x: str) -> str:
        """Constant rows as wide as a tensor."""
        shape = (self.draw.integer(1, 5), self.shape(x)[1])
        return self.graph.add("learned", Constant(value=self.values(1.0, *shape)), ["image"])

    def mean(self, x: str) -> str:
        return self.graph.add("mean", Mean(), [x])

    def select(self, x: str) -> str:
        start = self.draw.integer(0, self.shape(x)[0] - 1)
        op = Select(start=start, stop=self.draw.integer(start + 1, self.shape(x)[0]))
        return self.graph.add("selected", op, [x])
