# SPDX-License-Identifier: Apache-2.0
"""Small float Graphs of the ops that join tokens without a softmax, and their integers."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np

from hlsgen.errors import QuantizationWarning
from hlsgen.ir import Graph, GraphBuilder, Node, Op, TensorType
from hlsgen.ops import (
    Activation,
    Add,
    Constant,
    Context,
    Gather,
    GroupedLinear,
    IntegerGroupedLinear,
    IntegerLinear,
    LayerNorm,
    Linear,
    Matmul,
    MixedScores,
    Patches,
    RMSNorm,
    Scores,
    Softmax,
    Transpose,
)
from hlsgen.quantization import quantize
from hlsgen.quantization.config import QuantizeConfig


class Tokens:
    """A Graph that grows behind a patch embedding, with random weights."""

    def __init__(self, tokens: int, width: int, heads: int) -> None:
        self.tokens, self.width, self.heads = tokens, width, heads
        self.random = np.random.default_rng(tokens * 1000 + width)
        self.graph = GraphBuilder("image", TensorType((3, 8, 4 * tokens)))
        self.x = self.linear(self.add(Patches(patch=(8, 4)), "image"), width)

    def add(self, op: Op, *inputs: str) -> str:
        return self.graph.add(op.stem, op, inputs)

    def linear(self, x: str, size: int) -> str:
        width = self.graph.type_of(x).shape[1]
        weight = self.random.normal(size=(size, width)) / width**0.5
        return self.add(Linear(weight=weight, bias=0.1 * self.random.normal(size=size)), x)

    def relu(self, x: str) -> str:
        return self.add(Activation(function="relu"), x)

    def projections(self) -> tuple[str, str, str]:
        """Queries, keys and values."""
        return (
            self.linear(self.x, self.width),
            self.linear(self.x, self.width),
            self.linear(self.x, self.width),
        )

    def product(
        self, a: str, b: str, *, transposed: bool, scale: float = 0.5, heads: int | None = None
    ) -> str:
        return self.add(Matmul(heads=heads or self.heads, transposed=transposed, scale=scale), a, b)


def linear_attention(t: Tokens) -> str:
    """Q (K.T V)."""
    q, k, v = t.projections()
    state = t.product(t.add(Transpose(heads=t.heads), t.relu(k)), v, transposed=False)
    mixed = t.product(t.relu(q), state, transposed=False)
    return t.add(Add(), t.x, t.linear(mixed, t.width))


def relu_attention(t: Tokens) -> str:
    """relu(Q K.T) V."""
    q, k, v = t.projections()
    weights = t.relu(t.product(q, k, transposed=True))
    return t.linear(t.product(weights, v, transposed=False), t.width)


def mixer(t: Tokens) -> str:
    """Layers on tokens as channels."""
    hidden = t.relu(t.linear(t.add(Transpose(heads=1), t.x), 7))
    back = t.add(Transpose(heads=1), t.linear(hidden, t.tokens))
    return t.add(Add(), t.x, back)


def fixed(t: Tokens) -> str:
    """A constant that mixes tokens, learned rows that are added, and a norm."""
    mixing = t.add(Constant(value=t.random.normal(size=(4, t.tokens))), "image")
    rows = t.add(Constant(value=t.random.normal(size=(4, t.width))), "image")
    total = t.add(Add(), t.product(mixing, t.x, transposed=False, heads=1), rows)
    return t.add(LayerNorm(gamma=np.ones(t.width), beta=np.zeros(t.width), eps=1e-5), total)


def norms_by_head(t: Tokens) -> str:
    """Queries and keys normalised by head, attention, and a projection by head."""
    q, k, v = t.projections()
    gamma, beta = (1 + 0.2 * t.random.normal(size=t.width) for _ in range(2))
    q = t.add(LayerNorm(gamma=gamma, beta=beta, eps=1e-5, heads=t.heads), q)
    k = t.add(RMSNorm(gamma=beta, beta=np.zeros(t.width), eps=1e-5, heads=t.heads), k)
    weights = t.add(Softmax(), t.add(Scores(heads=t.heads, scale=0.3), q, k))
    weight = t.random.normal(size=(t.width, t.width // t.heads))
    grouped = GroupedLinear(groups=t.heads, weight=weight, bias=np.zeros(t.width))
    return t.add(grouped, t.add(Context(), weights, v))


def wide_values(t: Tokens) -> str:
    """Fewer keys than queries, and values wider than keys."""
    rows = t.add(Constant(value=t.random.normal(size=(3, t.width))), "image")
    key, value = t.linear(rows, t.width), t.linear(rows, 3 * t.width)
    weights = t.add(Softmax(), t.add(Scores(heads=t.heads, scale=0.3), t.linear(t.x, t.width), key))
    return t.add(Context(), weights, value)


def grouped_queries(t: Tokens) -> str:
    """Two heads of queries for one of keys, all of them for one of values; then products without softmax."""
    q, k, v = t.linear(t.x, 2 * t.width), t.linear(t.x, t.width), t.linear(t.x, t.width // t.heads)
    heads = 2 * t.heads
    scores = t.add(Scores(heads=heads, scale=0.3, shared=1), q, k)
    contexts = t.add(Context(shared=heads - 1), t.add(Softmax(), scores), v)
    maps = t.relu(t.add(Matmul(heads=heads, transposed=True, scale=0.1, shared=heads - 1), contexts, v))
    mixed = t.add(Matmul(heads=heads, transposed=False, scale=0.1, shared=1), maps, t.linear(t.x, t.width))
    return t.add(Add(), t.x, t.linear(mixed, t.width))


def maps_of_values(t: Tokens) -> str:
    """Scores are sums of maps that a product of values has made: two tensors want the value memory."""
    maps = t.product(*t.projections()[:2], transposed=True)
    again = t.product(maps, maps, transposed=False)
    values = t.linear(t.x, t.width)
    scores = t.add(MixedScores(matrix=t.random.normal(size=(t.heads, t.heads))), again)
    return t.add(Context(), t.add(Softmax(), scores), values)


def talking_heads(t: Tokens) -> str:
    """One head more within the softmax; each meets all values, and a linear layer adds the contexts up."""
    q, k, v = t.projections()
    maps = t.product(q, k, transposed=True)
    scores = t.add(MixedScores(matrix=t.random.normal(size=(t.heads + 1, t.heads))), maps)
    contexts = t.add(Context(shared=t.heads), t.add(Softmax(), scores), v)
    mix = np.kron(t.random.normal(size=(1, t.heads + 1)), np.eye(t.width))
    mixed = t.add(Linear(weight=mix, bias=np.zeros(t.width)), contexts)
    return t.add(Add(), t.x, t.linear(mixed, t.width))


def bias(t: Tokens, heads: int) -> np.ndarray:
    """Of every size, with hidden keys: one query sees none, one a single key, and one key is seen by none."""
    value = t.random.normal(size=(heads, t.tokens, t.tokens)) * t.random.choice(
        [0.1, 1.0, 30.0], (heads, 1, 1)
    )
    value[t.random.random(value.shape) < 0.3] = -np.inf
    value[:, :, t.tokens // 2] = value[:, 0] = value[:, -1] = -np.inf
    value[:, -1, 0] = 0.5
    return value


def masked(t: Tokens) -> str:
    """Attention with a bias and hidden keys, for scores of queries and keys and for sums of maps."""
    q, k, v = t.projections()
    scores = t.add(Scores(heads=t.heads, scale=t.width**-0.5, bias=bias(t, t.heads)), q, k)
    x = t.add(Add(), t.x, t.linear(t.add(Context(), t.add(Softmax(), scores), v), t.width))
    maps = t.product(*(t.linear(x, t.width) for _ in range(2)), transposed=True)
    mixture = MixedScores(matrix=t.random.normal(size=(t.heads, t.heads)), bias=bias(t, t.heads))
    contexts = t.add(Context(), t.add(Softmax(), t.add(mixture, maps)), t.linear(x, t.width))
    return t.add(Add(), x, t.linear(contexts, t.width))


def ranges(t: Tokens) -> str:
    """Attention of which some heads see no later token, and others only near ones: tiles see other keys."""
    near = np.arange(t.tokens)[:, None] - np.arange(t.tokens)
    value = t.random.normal(size=(t.heads, t.tokens, t.tokens))
    for head in range(t.heads):
        value[head][near < 0 if head < t.heads // 2 else abs(near) > 3] = -np.inf
    q, k, v = t.projections()
    scores = t.add(Scores(heads=t.heads, scale=t.width**-0.5, bias=value), q, k)
    x = t.add(Add(), t.x, t.linear(t.add(Context(), t.add(Softmax(), scores), v), t.width))
    return t.linear(x, t.width)


def scattered(t: Tokens) -> str:
    """Attention to the first tokens, to near ones, and to every fourth part.

    In one layer that is alike for all heads, in the other one heads see other parts, with a bias. Some
    queries see no key, some a single one.
    """
    x, size = t.x, max(2, t.tokens // 12)
    part = np.arange(t.tokens) // size
    back = part[:, None] - part
    for block in range(2):
        value = t.random.normal(size=(t.heads, t.tokens, t.tokens)) * block
        for head in range(t.heads):
            far = (part + head * block) % 4 == 0
            hidden = ~((part == 0) | (abs(back) == 0) | (far & (back >= 0)))
            hidden[t.tokens // 2], hidden[t.tokens // 3, 1:] = True, True
            value[head][hidden] = -np.inf
        q, k, v = (t.linear(x, t.width) for _ in range(3))
        scores = t.add(Scores(heads=t.heads, scale=t.width**-0.5, bias=value), q, k)
        contexts = t.add(Context(), t.add(Softmax(), scores), v)
        x = t.add(Add(), x, t.linear(contexts, t.width))
    return t.linear(x, t.width)


def orders(t: Tokens) -> str:
    """Tokens in other orders, read by layers, norms and sums; some side by side, and rows of zeros."""
    mixed = t.random.permutation(t.tokens)[:, None]
    norm = LayerNorm(gamma=1 + 0.1 * t.random.normal(size=t.width), beta=np.zeros(t.width), eps=1e-5)
    x = t.add(Add(), t.x, t.linear(t.add(norm, t.add(Gather(places=mixed), t.x)), t.width))
    inner = t.linear(t.add(Gather(places=np.argsort(mixed, 0)), t.relu(t.linear(x, t.width))), t.width)
    x = t.add(Add(), x, inner)
    x = t.add(Add(), x, t.linear(t.add(Gather(places=np.roll(mixed, 3)), x), t.width))
    pairs = np.pad(np.arange(t.tokens), (0, t.tokens % 2), constant_values=-1).reshape(-1, 2)
    merged = t.linear(t.add(Gather(places=pairs), x), t.width)
    tripled = t.add(Gather(places=t.random.integers(-1, len(pairs), (t.tokens, 3))), merged)
    return t.add(Add(), x, t.linear(tripled, t.width))


def windows(t: Tokens) -> str:
    """Attention by windows of 9 tokens in another order, with a bias for all; in two more keys are hidden.

    Some queries see no key, some a single one.
    """
    count, x = t.tokens // 9, t.x
    for block in range(2):
        order = np.arange(t.tokens).reshape(9, count).T.reshape(-1)
        value = np.repeat(t.random.normal(size=(1, t.heads, 9, 9)), count, 0)
        value[count - 2 :, :, :4, 4:] = value[-1, :, 2] = value[0, :, 1 + block] = -np.inf
        value[-1, :, 5, 1:] = -np.inf
        dense = np.full((t.heads, t.tokens, t.tokens), -np.inf)
        for index, each in enumerate(value):
            places = order[9 * index : 9 * index + 9]
            dense[:, places[:, None], places] = each
        q, k, v = (t.linear(x, t.width) for _ in range(3))
        scores = t.add(Scores(heads=t.heads, scale=0.3, bias=dense), q, k)
        x = t.add(Add(), x, t.linear(t.add(Context(), t.add(Softmax(), scores), v), t.width))
    return x


def merging(t: Tokens) -> str:
    """Orders, and pairs of tokens that are normalised together: they must fill words."""
    x = orders(t)
    pairs = np.pad(np.arange(t.tokens), (0, t.tokens % 2), constant_values=-1).reshape(-1, 2)
    wide = LayerNorm(gamma=np.ones(2 * t.width), beta=0.1 * t.random.normal(size=2 * t.width), eps=1e-5)
    return t.linear(t.add(wide, t.add(Gather(places=pairs), x)), t.width)


def masked_tasks(t: Tokens) -> Graph:
    """Attention with a bias for both tasks, then more of it for one of them."""
    t.x = masked(t)
    return t.graph.finish(t.linear(t.x, 5), t.linear(masked(t), 5))


def talking_tasks(t: Tokens) -> Graph:
    """Heads talk for both tasks, then once more for one of them, with weights that the other one skips."""
    t.x = talking_heads(t)
    return t.graph.finish(t.linear(t.x, 5), t.linear(talking_heads(t), 5))


def two_tasks(t: Tokens) -> Graph:
    """Linear attention for both tasks, then a layer for one, and tokens as channels for the other."""
    t.x = linear_attention(t)
    return t.graph.finish(t.linear(t.x, 5), t.linear(mixer(t), 5))


MODELS: dict[str, Callable[[Tokens], str]] = {
    made.__name__: made
    for made in (
        linear_attention, relu_attention, mixer, fixed, norms_by_head, wide_values, grouped_queries,
        maps_of_values, talking_heads, masked, ranges, orders,
    )
}  # fmt: skip
KINDS = tuple(MODELS)
MODELS |= {"merging": merging, "windows": windows, "scattered": scattered}


@cache
def integers(
    kind: str, tokens: int, width: int, heads: int, logit_bits: int = 10
) -> tuple[Graph, np.ndarray]:
    """The integer Graph, and an image for it."""
    t = Tokens(tokens, width, heads)
    tasks = {made.__name__: made for made in (two_tasks, talking_tasks, masked_tasks)}
    graph = tasks[kind](t) if kind in tasks else t.graph.finish(t.linear(MODELS[kind](t), 5))
    images = np.random.default_rng(1).normal(size=(6, *graph.input_type.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        model = quantize(graph, images, QuantizeConfig(logit_width=logit_bits))
    return model.graph, model.quantize_input(images[:1])[0].astype(np.int64)


def narrowed(graph: Graph, but: tuple[str, ...] = ()) -> Graph:
    """The integer Graph with the high halves of its weights, but of some layers, and with shifts for them."""

    def narrow(node: Node) -> Node:
        op = node.op
        if not isinstance(op, IntegerLinear | IntegerGroupedLinear) or node.name in but:
            return node
        shift = np.maximum(op.shift - 4, 0)
        return dataclasses.replace(
            node,
            op=dataclasses.replace(op, weight=op.weight >> 4, weight_bits=4, bias=op.bias >> 4, shift=shift),
        )

    return dataclasses.replace(graph, nodes=tuple(map(narrow, graph.nodes))).verify()
