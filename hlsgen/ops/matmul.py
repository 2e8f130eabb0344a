# SPDX-License-Identifier: Apache-2.0
"""Product of two tensors, per head: what attention is made of, without its softmax."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.context import merge_heads
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.scores import SMALLEST_WEIGHT, check_weights, serving, split_heads


def product_shape(
    heads: int, transposed: bool, a: TensorType, b: TensorType, shared: int = 0
) -> tuple[int, int, int]:
    """Rows of the result, its columns for a head, and the elements that are added up; or `TypeMismatch`.

    a [N, H*k], or [N, k] for all heads; b [M, H/(shared + 1)*k] transposed, else [k, H/(shared + 1)*M].
    """
    even = heads >= 1 and shared >= 0 and heads % (shared + 1) == 0
    parts = heads // (shared + 1) if even else 0
    fits = len(a.shape) == len(b.shape) == 2 and even and b.shape[1] % parts == 0
    each = b.shape[1] // parts if fits else 0
    inner, columns = (each, b.shape[0]) if transposed else (b.shape[0], each)
    if not fits or a.shape[1] not in (inner, heads * inner):
        side = "transposed" if transposed else "as it is"
        groups = f", of which {shared + 1} meet the same" if shared else ""
        raise TypeMismatch(
            f"product: {a.shape} and {b.shape} {side} must agree and divide by {heads} heads{groups}"
        )
    return a.shape[0], columns, inner


def head_product(heads: int, transposed: bool, a: np.ndarray, b: np.ndarray, shared: int = 0) -> np.ndarray:
    """[..., H, N, columns]: a's part of each head, or all of a, times b's."""
    factors = serving(b, heads, shared)
    factors = np.swapaxes(factors, -1, -2) if transposed else factors
    own = a.shape[-1] == heads * factors.shape[-2]
    rows = split_heads(a, heads) if own else a[..., None, :, :]
    if a.dtype.kind == "i":
        rows = np.broadcast_to(rows, (*rows.shape[:-3], heads, *rows.shape[-2:]))
        return numerics.exact_matmul(rows, factors)
    return rows @ factors


@op
class Matmul(FloatOp):
    """Float: per head `scale` * a @ b.T (`transposed`) or `scale` * a @ b.

    a [N, H*k], or [N, k] which meets every head; b [M, H*k] where it is transposed, else [k, H*M]; the
    result is [N, H*M]. shared: so many heads more meet the same part of b as a head: b has H/(shared + 1)
    parts.
    """

    part: ClassVar[Part] = Part.PRODUCT
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NARROW, TOKENS, "the left side of a product"),
        Input(Kind.NARROW, TOKENS, "the right side of a product"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.INDEX, Kind.WIDE, Kind.OUTPUT)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_requantize")

    heads: int
    transposed: bool
    scale: float
    shared: int = 0

    def infer(self, *types: TensorType) -> TensorType:
        rows, columns, _ = product_shape(self.heads, self.transposed, *types, shared=self.shared)
        return TensorType((rows, self.heads * columns))

    def unfit(self) -> str:
        if self.scale > 0 and math.isfinite(self.scale):
            return ""
        return f"a product's scale must be positive and finite, not {self.scale:g}"

    def times(self, factor: float) -> Self | None:
        return replace(self, scale=self.scale * factor) if factor > 0 else None

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return self.scale * merge_heads(
            head_product(self.heads, self.transposed, *arrays, shared=self.shared)
        )


def mover(heads: int, kind: TensorType, *, stacked: bool) -> IntegerMatmul:
    """The product that transposes its right side of type `kind`, by head: its left side is an identity."""
    multiplier, shift = numerics.dyadic(1.0)  # `requantize` then changes nothing
    low, high = kind.integer_range
    return IntegerMatmul(
        heads=heads, transposed=True, multiplier=multiplier, shift=shift, low=low, high=high,
        scale=kind.scale or 1.0, stacked=stacked,
    )  # fmt: skip


@op
class IntegerMatmul(Op):
    """int8 a, and b in -127..127 -> [N, H*M]: requantize(a @ b, multiplier, shift) per head.

    Shapes as those of `Matmul`; `stacked`: the heads' results are rows, [H*N, M]. The result is saturated to
    low..high and has the real scale `scale`. The accumulator is proved to stay in 32 bits.
    """

    heads: int
    transposed: bool
    multiplier: int
    shift: int
    low: int
    high: int
    scale: float
    stacked: bool = False
    shared: int = 0

    def accumulator_range(self, a: TensorType, b: TensorType) -> tuple[int, int]:
        """Smallest and largest value that any accumulator can reach."""
        *_, inner = product_shape(self.heads, self.transposed, a, b, self.shared)
        largest = inner * max(map(abs, a.integer_range)) * -SMALLEST_WEIGHT
        if largest >= 1 << 31:
            raise RangeOverflow(f"product: {inner} elements leave the 32-bit accumulator")
        return -largest, largest

    def infer(self, *types: TensorType) -> TensorType:
        a, b = types
        check_weights("product", "its right side", b)
        rows, columns, _ = product_shape(self.heads, self.transposed, a, b, self.shared)
        self.accumulator_range(a, b)
        shape = (self.heads * rows, columns) if self.stacked else (rows, self.heads * columns)
        return TensorType(shape, self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        acc = head_product(self.heads, self.transposed, *arrays, shared=self.shared)
        result = numerics.requantize(acc, self.multiplier, self.shift, self.low, self.high)
        if self.stacked:
            return result.reshape(*result.shape[:-3], -1, result.shape[-1])
        return merge_heads(result)
