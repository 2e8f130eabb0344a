# SPDX-License-Identifier: Apache-2.0
"""Addition on the residual stream."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part

RESIDUAL_LOW, RESIDUAL_HIGH = -(1 << 15), (1 << 15) - 1


@op
class Add(FloatOp):
    """Float: x + y."""

    part: ClassVar[Part] = Part.STREAM
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.WIDE, TOKENS),
        Input(Kind.WIDE, TOKENS),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.WIDE, Kind.OUTPUT)
    units: ClassVar[tuple[str, ...]] = ("drain_add",)
    shares: ClassVar[tuple[int, ...]] = (0, 1)
    misplaced: ClassVar[str] = "an addition must join rows of tokens, not {} and {}"

    def infer(self, *types: TensorType) -> TensorType:
        if types[0].shape != types[1].shape:
            raise TypeMismatch(f"add: shapes {types[0].shape} and {types[1].shape} must be equal")
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0] + arrays[1]


@op
class AddConstant(FloatOp):
    """Float: x + value; value [T, N] holds positions, class token and the patch embedding's bias."""

    part: ClassVar[Part] = Part.STREAM
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE, TOKENS, "what a constant is added to"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.WIDE, Kind.OUTPUT)
    shares: ClassVar[tuple[int, ...]] = (0,)

    value: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        if types[0].shape != self.value.shape:
            raise TypeMismatch(f"add: shapes {types[0].shape} and {self.value.shape} must be equal")
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0] + self.value


@op
class IntegerAdd(Op):
    """int16 + int16 of one scale, saturated to 16 bits."""

    def infer(self, *types: TensorType) -> TensorType:
        x, y = types
        if x.shape != y.shape or x.scale != y.scale:
            raise TypeMismatch(f"add: {x} and {y} must have one shape and one scale")
        return TensorType(x.shape, RESIDUAL_LOW, RESIDUAL_HIGH, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return numerics.saturate(arrays[0] + arrays[1], RESIDUAL_LOW, RESIDUAL_HIGH)


@op
class IntegerAddConstant(Op):
    """int16 + constant int16 [T, N] of the same scale, saturated to 16 bits."""

    value: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.shape != self.value.shape:
            raise TypeMismatch(f"add: shapes {x.shape} and {self.value.shape} must be equal")
        return TensorType(x.shape, RESIDUAL_LOW, RESIDUAL_HIGH, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return numerics.saturate(arrays[0] + self.value, RESIDUAL_LOW, RESIDUAL_HIGH)
