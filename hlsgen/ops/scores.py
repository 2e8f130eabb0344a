# SPDX-License-Identifier: Apache-2.0
"""Attention logits: query times key, per head."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.score_bias import check_addends, check_bias, unfit_bias

SMALLEST_WEIGHT = -127
"""Keys and values stand where weights do: multipliers that share them in pairs have no room for -128."""


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """[..., T, H*d] -> [..., H, T, d]."""
    return np.swapaxes(x.reshape(*x.shape[:-1], heads, -1), -2, -3)


def serving(x: np.ndarray, heads: int, shared: int) -> np.ndarray:
    """Keys or values [..., S, H/(shared + 1)*d] -> [..., H, S, d]: each head of them serves `shared` more."""
    found = split_heads(x, heads // (shared + 1))
    return np.repeat(found, shared + 1, axis=-3) if shared else found


def check(name: str, heads: int, shared: int, q: TensorType, k: TensorType) -> tuple[int, int, int]:
    """The shape [heads, queries, keys] of the scores, or `TypeMismatch`."""
    groups = f", of which {shared + 1} have the same keys" if shared else ""
    if heads < 1 or shared < 0 or heads % (shared + 1) or q.shape[-1] % heads:
        raise TypeMismatch(f"{name}: query {q.shape} must divide by {heads} heads{groups}")
    if q.shape[-1] != k.shape[-1] * (shared + 1):
        raise TypeMismatch(
            f"{name}: query {q.shape} and key {k.shape} must agree and divide by {heads} heads{groups}"
        )
    return heads, q.shape[0], k.shape[0]


def check_weights(name: str, what: str, weights: TensorType) -> None:
    """Raise `RangeOverflow` where keys or values may be smaller than a weight."""
    low, high = weights.integer_range
    if low < SMALLEST_WEIGHT or high > -SMALLEST_WEIGHT:
        raise RangeOverflow(
            f"{name}: {what} must lie in {SMALLEST_WEIGHT}..{-SMALLEST_WEIGHT}, not in {low}..{high}"
        )


@op
class Scores(FloatOp):
    """Float: q [T, H*d], k [S, H*d] -> [H, T, S], scale * q k^T + bias per head.

    bias [H, T, S]: relative positions, masks; a key is hidden from a query where it is -inf.
    shared: so many heads more meet the same keys as a head: k is [S, H/(shared + 1)*d]. Grouped queries
    (Ainslie et al. 2023); with H - 1 all heads have one head of keys (Shazeer 2019).
    """

    part: ClassVar[Part] = Part.SCORES
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NARROW, TOKENS, "attention queries"),
        Input(Kind.NARROW, TOKENS, "attention keys"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.LOGITS,)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_scores")

    heads: int
    scale: float
    shared: int = 0
    bias: np.ndarray | None = None

    def infer(self, *types: TensorType) -> TensorType:
        shape = check("scores", self.heads, self.shared, *types)
        check_bias("scores", self.bias, shape)
        return TensorType(shape)

    def unfit(self) -> str:
        if self.scale > 0 and math.isfinite(self.scale):
            return unfit_bias(self.bias)
        return f"the attention scale must be positive and finite, not {self.scale:g}"

    def times(self, factor: float) -> Self:
        bias = None if self.bias is None else self.bias * factor
        return replace(self, scale=self.scale * factor, bias=bias)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        q, k = split_heads(arrays[0], self.heads), serving(arrays[1], self.heads, self.shared)
        result = q @ np.swapaxes(k, -1, -2)
        result *= self.scale
        if self.bias is not None:
            result += self.bias
        return result


@op
class IntegerScores(Op):
    """int8 q, k -> logits [H, T, S] of `width` bits: requantize(q k^T, multiplier, shift), saturated.

    addends [H, T, S], int16: with them the result is `numerics.add_scores` of 16 bits and the addends. Keys
    lie in -127..127, as weights do. The attention scale lies in multiplier and shift; `scale` is the logits'
    real scale. `shared` is that of `Scores`.
    """

    heads: int
    multiplier: int
    shift: int
    width: int
    scale: float
    shared: int = 0
    addends: np.ndarray | None = None

    def infer(self, *types: TensorType) -> TensorType:
        q, k = types
        check_weights("scores", "keys", k)
        largest = q.shape[-1] // self.heads * 128 * 128
        if largest >= 1 << 31:
            raise RangeOverflow(f"scores: head dimension {q.shape[-1] // self.heads} leaves 32 bits")
        half, shape = 1 << (self.width - 1), check("scores", self.heads, self.shared, q, k)
        check_addends("scores", self.addends, shape)
        return TensorType(shape, -half, half - 1, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        q, k = split_heads(arrays[0], self.heads), serving(arrays[1], self.heads, self.shared)
        acc = numerics.exact_matmul(q, np.swapaxes(k, -1, -2))
        return numerics.logits(acc, self.multiplier, self.shift, self.width, self.addends)
