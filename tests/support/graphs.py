# SPDX-License-Identifier: Apache-2.0
"""Random integer Graphs of vision transformers, built without a front end or a quantizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hlsgen import numerics
from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import (
    IntegerAdd,
    IntegerAddConstant,
    IntegerContext,
    IntegerExp,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMean,
    IntegerRMSNorm,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
)


@dataclass(frozen=True, kw_only=True)
class Vit:
    """The shape of a random vision transformer."""

    image: tuple[int, int, int] = (1, 8, 8)
    patch: tuple[int, int] = (2, 2)
    prefix: int = 1
    width: int = 32
    heads: int = 4
    blocks: int = 2
    hidden: int = 64
    classes: int = 10
    pool: str = "token"
    ends: int = 1
    """Tokens with a head of their own; the output is the sum of the heads."""
    logit_bits: int = 10
    norms: str = "layer"
    """layer, rms, or both: mixed."""
    seed: int = 0


DIGITS = Vit()
AWKWARD = Vit(
    image=(2, 9, 6), patch=(3, 2), prefix=0, width=15, heads=3, hidden=22, classes=7, pool="mean", seed=1
)
DISTILLED = Vit(prefix=2, ends=2, classes=37, blocks=1, seed=3)
RMS = Vit(image=(1, 6, 4), width=15, heads=3, blocks=1, hidden=9, classes=5, norms="rms", seed=4)
MIXED = Vit(image=(1, 4, 6), prefix=0, width=8, heads=2, hidden=9, pool="mean", norms="mixed", seed=5)
TINY = Vit(image=(1, 2, 2), patch=(2, 2), prefix=0, width=4, heads=1, blocks=1, hidden=3, classes=2, seed=2)


def integer_vit(shape: Vit) -> Graph:
    """An integer Graph with seeded random weights and lively ranges."""
    return _Builder(shape).build()


def two_tasks(shape: Vit, columns: int) -> Graph:
    """The same with a second task: `columns` results for each token."""
    builder = _Builder(shape)
    first = builder.build().output
    last = f"b{shape.blocks - 1}_add2"
    second = builder.linear("tokens", builder.norm("tokens_norm", last), columns, 12000, residual=True)
    return builder.graph.finish(first, second)


def images(shape: Vit, count: int, seed: int = 0) -> np.ndarray:
    """Random int8 images [count, C, H, W]."""
    return np.random.default_rng(seed).integers(-128, 128, (count, *shape.image))


class _Builder:
    def __init__(self, shape: Vit) -> None:
        self.shape = shape
        self.random = np.random.default_rng(shape.seed)
        self.graph = GraphBuilder("image", TensorType(shape.image, -128, 127, 1 / 64))

    def build(self) -> Graph:
        s, g = self.shape, self.graph
        patches = g.add("patches", Patches(patch=s.patch, prefix=s.prefix), ["image"])
        tokens, _ = g.type_of(patches).shape
        linear = self.linear("embed", patches, s.width, 8000, residual=True)
        value = self.random.integers(-9000, 9000, (tokens, s.width))
        x = g.add("position", IntegerAddConstant(value=value), [linear])
        for block in range(s.blocks):
            x = self.block(f"b{block}", x)
        if s.ends > 1:
            return g.finish(self.sum_of_heads(x))
        if s.pool == "token":
            x = g.add("token", Select(start=0, stop=1), [x])
        else:
            x = g.add("mean", IntegerMean(shift=max(1, tokens.bit_length()), low=-32768, high=32767), [x])
        return g.finish(self.linear("head", self.norm("norm", x), s.classes, 12000, residual=True))

    def sum_of_heads(self, x: str) -> str:
        s, g, total = self.shape, self.graph, ""
        for end in range(s.ends):
            token = self.norm(f"norm{end}", g.add(f"token{end}", Select(start=end, stop=end + 1), [x]))
            head = self.linear(f"head{end}", token, s.classes, 12000, residual=True)
            total = g.add(f"logits{end}", IntegerAdd(), [total, head]) if total else head
        return total

    def block(self, name: str, x: str) -> str:
        s, g = self.shape, self.graph
        y = self.norm(f"{name}_norm1", x)
        q = self.linear(f"{name}_q", y, s.width, 60)
        k, v = (self.linear(f"{name}_{role}", y, s.width, 60, weights=True) for role in "kv")
        multiplier, shift = numerics.dyadic((1 << (s.logit_bits - 3)) / (3600 * (s.width // s.heads) ** 0.5))
        scores = g.add(
            f"{name}_scores",
            IntegerScores(
                heads=s.heads, multiplier=multiplier, shift=shift, width=s.logit_bits, scale=1 / 32
            ),
            [q, k],
        )
        table = numerics.exp_table(
            2.0 ** (5 - s.logit_bits) * (1 + 0.01 * self.random.random()), s.logit_bits
        )
        e = g.add(f"{name}_exp", IntegerExp(table=table), [scores])
        multiplier, shift = numerics.dyadic(1.3)
        context = g.add(
            f"{name}_context", IntegerContext(multiplier=multiplier, shift=shift, scale=1 / 32), [e, v]
        )
        x = g.add(f"{name}_add1", IntegerAdd(), [x, self.linear(f"{name}_out", context, s.width, 4000, True)])
        hidden = self.linear(f"{name}_up", self.norm(f"{name}_norm2", x), s.hidden, 60)
        table = self.random.integers(-128, 128, 256)
        hidden = g.add(f"{name}_gelu", IntegerTable(table=table, scale=1 / 32), [hidden])
        return g.add(
            f"{name}_add2", IntegerAdd(), [x, self.linear(f"{name}_down", hidden, s.width, 4000, True)]
        )

    def norm(self, name: str, x: str) -> str:
        gain, shift = numerics.dyadic(31.7)
        epsilon = int(self.random.integers(0, 5000))
        rms = self.shape.norms == "rms" or (self.shape.norms == "mixed" and not name.endswith("norm2"))
        op = (IntegerRMSNorm if rms else IntegerLayerNorm)(epsilon=epsilon, gain=gain, gain_shift=shift)
        return self.graph.add(name, op, [x])

    def linear(
        self, name: str, x: str, size: int, spread: float, residual: bool = False, weights: bool = False
    ) -> str:
        """A linear layer whose results, `weights` keys or values, have a standard deviation of `spread`."""
        k = self.graph.type_of(x).shape[-1]
        weight = self.random.integers(-127, 128, (size, k))
        bias = self.random.integers(-2000, 2000, size)
        pairs = [
            numerics.dyadic(spread / (40 * 73 * k**0.5) * f) for f in self.random.uniform(0.7, 1.4, size)
        ]
        multiplier, shift = np.array(pairs).T
        high = (1 << 15) - 1 if residual else 127
        op = IntegerLinear(
            weight=weight,
            bias=bias,
            multiplier=multiplier,
            shift=shift,
            low=-high if weights else -high - 1,
            high=high,
            scale=1 / 256,
        )
        return self.graph.add(name, op, [x])
