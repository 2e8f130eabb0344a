# SPDX-License-Identifier: Apache-2.0
"""Attention output: softmax times value, per head."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.scores import check_weights, serving


def merge_heads(x: np.ndarray) -> np.ndarray:
    """[..., H, T, d] -> [..., T, H*d]."""
    x = np.swapaxes(x, -2, -3)
    return x.reshape(*x.shape[:-2], -1)


def _shape(p: TensorType, v: TensorType, shared: int) -> tuple[int, int]:
    fits = len(p.shape) == 3 and p.shape[2] == v.shape[0] and p.shape[0] % (shared + 1) == 0
    if not fits or v.shape[1] % (p.shape[0] // (shared + 1)):
        raise TypeMismatch(f"context: softmax {p.shape} must be [heads, T, S] and fit value {v.shape}")
    return p.shape[1], v.shape[1] * (shared + 1)


@op
class Context(FloatOp):
    """Float: p [H, T, S], v [S, H*d] -> [T, H*d].

    shared: so many heads more meet the same values as a head: v is [S, H/(shared + 1)*d].
    """

    part: ClassVar[Part] = Part.ATTENTION
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NUMERATOR, (Part.SOFTMAX,), "attention weights"),
        Input(Kind.NARROW, TOKENS, "attention values"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("load_exp", "drain_context")

    shared: int = 0

    def infer(self, *types: TensorType) -> TensorType:
        p, v = types
        return TensorType(_shape(p, v, self.shared))

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        p, v = arrays
        return merge_heads(p @ serving(v, p.shape[-3], self.shared))


@op
class IntegerContext(Op):
    """e [H, T, S] and v [S, H*d] in -127..127 -> int8 [T, H*d].

    requantize(e v, *context_scale(sum of e, multiplier, shift)): the softmax's division happens here, one
    reciprocal per row. `multiplier` * 2**-`shift` is the value's scale over the result's `scale`.
    """

    multiplier: int
    shift: int
    scale: float
    shared: int = 0

    def infer(self, *types: TensorType) -> TensorType:
        p, v = types
        check_weights("context", "values", v)
        if p.shape[-1] * p.integer_range[1] * 128 >= 1 << 31:
            raise RangeOverflow(f"context: {p.shape[-1]} keys leave the 32-bit accumulator")
        if self.shift > 38:
            raise RangeOverflow(f"context: shift must be at most 38, not {self.shift}")
        return TensorType(_shape(p, v, self.shared), -128, 127, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        e, v = arrays
        values = serving(v, e.shape[-3], self.shared)
        acc = numerics.exact_matmul(e, values)
        multiplier, shift = numerics.context_scale(e.sum(-1, keepdims=True), self.multiplier, self.shift)
        return merge_heads(numerics.requantize(acc, multiplier, shift, -128, 127))
