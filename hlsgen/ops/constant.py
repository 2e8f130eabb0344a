# SPDX-License-Identifier: Apache-2.0
"""Rows that are the same for every image: learned queries, fixed matrices that mix tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.add import RESIDUAL_HIGH, RESIDUAL_LOW
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part
from hlsgen.ops.linear import IntegerLinear


def _repeated(value: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The value once for each image of a batch."""
    return np.broadcast_to(value, (*image.shape[:-3], *value.shape))


@op
class Constant(FloatOp):
    """Float: the image -> value [T, N], whatever the image."""

    part: ClassVar[Part] = Part.CONSTANT
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.IMAGE),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = ("drain_add",)

    value: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        if self.value.ndim != 2 or len(types) != 1:
            raise TypeMismatch(f"constant: value {self.value.shape} must be [T, N]")
        return TensorType(self.value.shape)

    def times(self, factor: float) -> Self:
        return replace(self, value=self.value * factor)

    def times_columns(self, factors: np.ndarray) -> Self:
        return replace(self, value=self.value * factors)

    def plus(self, row: np.ndarray) -> Self:
        return replace(self, value=self.value + row)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return _repeated(self.value, arrays[0])


@op
class IntegerConstant(Op):
    """The image -> value [T, N] in low..high, of the real scale `scale`."""

    value: np.ndarray
    low: int
    high: int
    scale: float

    def infer(self, *types: TensorType) -> TensorType:
        del types
        if self.value.min(initial=0) < self.low or self.value.max(initial=0) > self.high:
            raise RangeOverflow(f"constant: values must lie in {self.low}..{self.high}")
        return TensorType(self.value.shape, self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return _repeated(self.value, arrays[0])


def digits(value: np.ndarray, scale: float) -> tuple[IntegerConstant, IntegerLinear]:
    """Constant rows and a layer whose result is `value` [T, N] of int16, exactly, with a real scale.

    An element is a digit of -64..63, and -128 times a sum of weights.
    """
    low = (value + 64) % 128 - 64
    rest, tokens = (low - value) // 128, len(value)
    count = -(-int(np.abs(rest).max(initial=0)) // 127)
    parts = [low]
    for _ in range(count):
        parts.append(np.clip(rest, -127, 127))
        rest = rest - parts[-1]
    eye = np.eye(tokens, dtype=np.int64)
    rows = np.concatenate([eye, *([-128 * eye] * count)], axis=1)
    multiplier, shift = numerics.dyadic(1.0)
    width = value.shape[1]
    layer = IntegerLinear(
        weight=np.concatenate(parts).T, bias=np.zeros(width, np.int64), multiplier=np.full(width, multiplier),
        shift=np.full(width, shift), low=RESIDUAL_LOW, high=RESIDUAL_HIGH, scale=scale,
    )  # fmt: skip
    return IntegerConstant(value=rows, low=-128, high=1, scale=1.0), layer
