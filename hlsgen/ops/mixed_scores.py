# SPDX-License-Identifier: Apache-2.0
"""Attention logits that are sums of stored maps, with one weight for each head and map."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.score_bias import check_addends, check_bias, unfit_bias


def _shape(matrix: np.ndarray, maps: TensorType) -> tuple[int, int, int]:
    """The shape [heads, queries, keys] of the scores, or `TypeMismatch`."""
    heads, count = matrix.shape
    if len(maps.shape) != 2 or maps.shape[1] % count:
        raise TypeMismatch(f"mixed scores: {maps.shape} must be the maps of {count} heads, side by side")
    return heads, maps.shape[0], maps.shape[1] // count


def _sum(matrix: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """[..., T, H*S] -> [..., G, T, S]."""
    each = maps.reshape(*maps.shape[:-1], matrix.shape[1], -1)
    return np.moveaxis(np.swapaxes(each, -1, -2) @ matrix.T, -1, -3)


@op
class MixedScores(FloatOp):
    """Float: maps [T, H*S] -> [G, T, S]; head g is the sum of the maps, map h times matrix [G, H].

    bias [G, T, S] is added, see `Scores`. Talking heads (Shazeer et al. 2020) mix the scores of all heads so.
    """

    part: ClassVar[Part] = Part.SCORES
    title: ClassVar[str] = "mixed attention scores"
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.NARROW, TOKENS, "attention maps"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.LOGITS,)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_scores")

    matrix: np.ndarray
    bias: np.ndarray | None = None

    def infer(self, *types: TensorType) -> TensorType:
        shape = _shape(self.matrix, *types)
        check_bias("mixed scores", self.bias, shape)
        return TensorType(shape)

    def unfit(self) -> str:
        if np.isfinite(self.matrix).all():
            return unfit_bias(self.bias)
        return "the matrix that mixes heads must be finite"

    def times(self, factor: float) -> Self:
        bias = None if self.bias is None else self.bias * factor
        return replace(self, matrix=self.matrix * factor, bias=bias)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        result = _sum(self.matrix, *arrays)
        return result if self.bias is None else result + self.bias


@op
class IntegerMixedScores(Op):
    """int8 maps [T, H*S] -> logits [G, T, S] of `width` bits: requantize(sum over maps, multiplier, shift).

    weight [G, H] in -127..127; `scale` is the logits' real scale; addends [G, T, S] as in `IntegerScores`.
    """

    weight: np.ndarray
    multiplier: int
    shift: int
    width: int
    scale: float
    addends: np.ndarray | None = None

    def infer(self, *types: TensorType) -> TensorType:
        (maps,) = types
        if np.abs(self.weight.astype(np.int64)).max(initial=0) > 127:
            raise RangeOverflow("mixed scores: the weight must lie in -127..127")
        half, shape = 1 << (self.width - 1), _shape(self.weight, maps)
        check_addends("mixed scores", self.addends, shape)
        return TensorType(shape, -half, half - 1, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        acc = _sum(self.weight.astype(np.int64), arrays[0].astype(np.int64))
        return numerics.logits(acc, self.multiplier, self.shift, self.width, self.addends)
