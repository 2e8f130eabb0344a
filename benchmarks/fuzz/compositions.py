# SPDX-License-Identifier: Apache-2.0
"""Random float Graphs in which any op on tokens reads any other, in no order that a known model has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.masks import draw_mask
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Choose,
    Combine,
    Constant,
    Context,
    ExpertLinear,
    Gather,
    GroupedLinear,
    LayerNorm,
    Linear,
    Matmul,
    Mean,
    MixedScores,
    Patches,
    RMSNorm,
    Route,
    Scores,
    Select,
    Softmax,
    Transpose,
)
from hlsgen.ops.route import CONVENTIONS
from hlsgen.quantization.calibrate import observe
from hlsgen.quantization.config import QuantizeConfig
from hlsgen.quantization.fold import fold
from hlsgen.quantization.moments import with_moments
from hlsgen.quantization.rewrite import rewrite
from hlsgen.quantization.roles import kinds
from hlsgen.quantization.scales import assign, counted

CALIBRATION = 4
"""Images that a composition is quantized with: random models are not accurate anyhow."""
MOST_HEADS = 6
FUNCTIONS = ("gelu", "relu", "tanh", "hardswish", "sub(0.5, abs(x))")


def draw_composed(
    draw: Draw,
    logit_bits: int,
    tasks: int = 1,
    *,
    experts: bool = False,
    activation_bits: int = 8,
    numerator_bits: int = 8,
) -> Graph:
    """The integer Graph of a composition."""
    graph = draw_composition(draw, tasks, experts=experts)
    bits = draw.pick(8, 8, 4)
    config = QuantizeConfig(
        image="min-max", activations="min-max", logit_width=logit_bits, weight_bits=bits,
        activation_bits=activation_bits, numerator_bits=numerator_bits,
    )  # fmt: skip
    return integers(graph, draw_pictures(draw, graph, CALIBRATION), config)


def integers(graph: Graph, images: np.ndarray, config: QuantizeConfig) -> Graph:
    """As `quantize` does it, but nothing is measured: that takes longer than all the rest."""
    reference = fold(graph)
    kind = kinds(reference)
    seen = observe(
        reference, kind, images, config.batch, 1, counted(reference, kind, config),
        depth=config.depth,
    )  # fmt: skip
    return rewrite(with_moments(assign(reference, kind, seen, config), seen.sample, config.batch))


def draw_composition(draw: Draw, tasks: int = 1, *, experts: bool = False) -> Graph:
    """A Graph of up to 7 random ops behind an embedding; the outputs are any of its tensors."""
    return _Composer(draw, tasks).build(draw.integer(1, 7), experts)


def draw_pictures(draw: Draw, graph: Graph, count: int) -> np.ndarray:
    """Random images [count, C, H, W] within -2..2."""
    shape = (count, *graph.input_type.shape)
    return draw.reals(-2, 2, int(np.prod(shape))).reshape(shape).astype(np.float32)


class _Composer:
    def __init__(self, draw: Draw, tasks: int) -> None:
        self.draw, self.tasks = draw, tasks
        self.image = (
            draw.pick((1, 6, 4), (2, 4, 2), (1, 2, 2)) if draw.chance(0.8) else (draw.integer(1, 3), 3, 5)
        )
        self.graph = GraphBuilder("image", TensorType(self.image))
        self.cut = self.patches()
        self.sizes = (1, 3, 4, 4, 6, 6, 9) if draw.chance(0.9) else (1, 6, 12, 17, 24)
        self.rows: list[str] = []
        """Tensors of the form [T, N]."""

    def build(self, size: int, experts: bool) -> Graph:
        self.rows.append(self.embedding(""))
        ops = (
            self.linear,
            self.norm,
            self.activation,
            self.add,
            self.constant,
            self.attention,
            self.mixed,
            self.mean,
            self.select,
            self.transpose,
            self.product,
            self.product,
            self.learned,
            self.grouped,
            self.embedding,
            *((self.mixture, self.mixture) if experts else ()),
            *((self.gather,) if self.tasks == 1 else ()),
        )
        for _ in range(size):
            self.rows.append(self.draw.pick(*ops)(self.any()))
        others = [self.any() for _ in range(self.tasks - 1)]
        return self.graph.finish(self.rows[-1], *others)

    def patches(self) -> Patches:
        """How the image is cut: patches side by side, overlapping, with gaps, beyond the edges, or within."""
        draw, (_, height, width) = self.draw, self.image
        if draw.chance(0.7) and (height, width) != (3, 5):
            return Patches(patch=(2, 2))
        patch = draw.integer(1, min(3, height)), draw.integer(1, min(3, width))
        least = [-1 if size - 2 >= edge else 0 for size, edge in zip((height, width), patch, strict=True)]
        top, bottom = (draw.integer(least[0], patch[0] - 1) for _ in range(2))
        left, right = (draw.integer(least[1], patch[1] - 1) for _ in range(2))
        stride, padding = (draw.integer(1, 3), draw.integer(1, 3)), (top, bottom, left, right)
        return Patches(patch=patch, stride=stride, padding=padding)

    def embedding(self, _: str) -> str:
        """A linear layer of patches, with rows in front."""
        op = replace(self.cut, prefix=self.draw.integer(0, 1))
        return self.linear(self.graph.add("patches", op, ["image"]))

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
        return self.graph.add("linear", self.layer(self.shape(x)[1], self.draw.pick(*self.sizes)), [x])

    def layer(self, width: int, size: int) -> Linear:
        return Linear(weight=self.values(2.0 / width**0.5, size, width), bias=self.values(0.3, size))

    def mixture(self, x: str) -> str:
        """Experts that read a norm of any tensor and add to any with as many rows; routers read any."""
        tokens, width = self.shape(x)
        fitting = [name for name in self.rows if self.shape(name)[0] == tokens]
        stream = self.draw.pick(*fitting)
        count, hidden = self.draw.integer(1, 4), self.draw.integer(1, 6)
        kind = self.draw.pick(LayerNorm, RMSNorm)
        gamma, beta = 1 + self.values(0.5, width), self.values(0.3, width)
        rows = self.graph.add("norm", kind(gamma=gamma, beta=beta, eps=1e-3), [x])
        routers = []
        for _ in range(self.draw.pick(1, self.tasks)):
            source = self.draw.pick(rows, *fitting)
            routers.append(self.graph.add("router", self.layer(self.shape(source)[1], count), [source]))
        logits = self.graph.add("choose", Choose(), routers) if len(routers) > 1 else routers[0]
        op = Route(k=self.draw.integer(1, count), convention=self.draw.pick(*CONVENTIONS))
        route = self.graph.add("route", op, [logits])
        up = self.graph.add("up", self.experts(count, width, hidden), [rows, route])
        middle = self.graph.add("middle", Activation(function=self.draw.pick(*FUNCTIONS)), [up])
        down = self.graph.add("down", self.experts(count, hidden, self.shape(stream)[1]), [middle, route])
        return self.graph.add("combine", Combine(), [stream, down, route])

    def experts(self, count: int, width: int, size: int) -> ExpertLinear:
        weight = self.values(2.0 / width**0.5, count, size, width)
        return ExpertLinear(weight=weight, bias=self.values(0.3, count, size))

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
        return self.graph.add("activation", Activation(function=self.draw.pick(*FUNCTIONS)), [x])

    def add(self, x: str) -> str:
        return self.graph.add("sum", Add(), [x, self.like(x)])

    def constant(self, x: str) -> str:
        return self.graph.add("shifted", AddConstant(value=self.values(0.8, *self.shape(x))), [x])

    def heads(self, *widths: int) -> int:
        """Heads that divide all widths."""
        return self.draw.pick(
            *(heads for heads in (1, 2, 3, 4) if not any(width % heads for width in widths))
        )

    def attention(self, x: str) -> str:
        """Keys are any tensor as wide as the queries of some heads, values any with as many rows as keys."""
        width = self.shape(x)[1]
        heads = self.heads(width)
        shared = {width * parts // heads: heads // parts - 1 for parts in self.parts(heads)}
        key = self.draw.pick(*(name for name in self.rows if self.shape(name)[1] in shared))
        op = Scores(
            heads=heads,
            scale=(width / heads) ** -0.5,
            shared=shared[self.shape(key)[1]],
            bias=self.bias(heads, self.shape(x)[0], self.shape(key)[0]),
        )
        return self.context(self.graph.add("scores", op, [x, key]))

    def bias(self, heads: int, queries: int, keys: int) -> np.ndarray | None:
        """What is added to scores: nothing, or numbers and hidden keys, perhaps the same for all heads."""
        if self.draw.chance(0.4):
            return None
        seen = draw_mask(self.draw, heads, queries, keys)
        bias = np.where(seen, self.values(1.0, *seen.shape), -np.inf)
        return np.broadcast_to(bias[:1], seen.shape) if self.draw.chance(0.3) else bias

    def mixed(self, x: str) -> str:
        """Attention whose scores are sums of parts of a tensor."""
        count = self.heads(self.shape(x)[1])
        matrix = self.values(1.0, self.draw.integer(1, 4), count)
        return self.context(self.graph.add("mixed", MixedScores(matrix=matrix), [x]))

    def context(self, scores: str) -> str:
        """Softmax weights times any tensor that has as many rows as there are keys, else constant rows."""
        heads, _, keys = self.graph.type_of(scores).shape
        fitting = [name for name in self.rows if self.shape(name)[0] == keys]
        value = self.draw.pick(*fitting) if fitting else self.constants(keys, self.draw.pick(*self.sizes))
        parts = [parts for parts in self.parts(heads) if self.shape(value)[1] % parts == 0]
        op = Context(shared=heads // self.draw.pick(*parts) - 1)
        return self.graph.add("context", op, [self.graph.add("softmax", Softmax(), [scores]), value])

    @staticmethod
    def parts(heads: int) -> list[int]:
        """Heads of keys, or of values, that may serve so many heads."""
        return [parts for parts in range(1, heads + 1) if heads % parts == 0]

    def transpose(self, x: str) -> str:
        return self.graph.add("transposed", Transpose(heads=self.heads(self.shape(x)[1])), [x])

    def product(self, x: str) -> str:
        """Times any tensor that fits, or its transpose: by head, or all heads times the same rows."""
        width = self.shape(x)[1]
        fitting = [
            (name, transposed, parts * (shared + 1), shared)
            for name in self.rows
            for transposed in (True, False)
            for parts in self.parts(self.shape(name)[1])
            for shared in (0, 1, 2)
            if parts * (shared + 1) <= MOST_HEADS
            and width in self.inner(name, transposed, parts, parts * (shared + 1))
        ]
        other, transposed, heads, shared = self.draw.pick(*fitting)
        op = Matmul(heads=heads, transposed=transposed, scale=self.draw.real(0.1, 1.0), shared=shared)
        return self.graph.add("product", op, [x, other])

    def inner(self, name: str, transposed: bool, parts: int, heads: int) -> tuple[int, int]:
        """Elements of a row that all heads of a product meet, and of one with a part for each head."""
        tokens, size = self.shape(name)
        each = size // parts if transposed else tokens
        return each, heads * each

    def learned(self, x: str) -> str:
        """Constant rows as wide as a tensor."""
        return self.constants(self.draw.integer(1, 5), self.shape(x)[1])

    def constants(self, *shape: int) -> str:
        return self.graph.add("learned", Constant(value=self.values(1.0, *shape)), ["image"])

    def mean(self, x: str) -> str:
        return self.graph.add("mean", Mean(), [x])

    def gather(self, x: str) -> str:
        """Rows in any order, some of them zeros."""
        count, last = self.draw.integer(1, self.shape(x)[0] + 2), self.shape(x)[0] - 1
        places = self.draw.array(self.draw.pick(-1, 0), last, (count, 1))
        return self.graph.add("ordered", Gather(places=places), [x])

    def select(self, x: str) -> str:
        start = self.draw.integer(0, self.shape(x)[0] - 1)
        op = Select(start=start, stop=self.draw.integer(start + 1, self.shape(x)[0]))
        return self.graph.add("selected", op, [x])
