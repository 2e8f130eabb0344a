# SPDX-License-Identifier: Apache-2.0
"""Rows that are the same for every image: learned queries, fixed matrices that mix tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part


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
