# SPDX-License-Identifier: Apache-2.0
"""Mean over tokens."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part


@op
class Mean(FloatOp):
    """Float: [T, N] -> [1, N], the mean over tokens."""

    part: ClassVar[Part] = Part.MEAN
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE, TOKENS, "what is averaged"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = ("load_pool",)

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType((1, *types[0].shape[1:]))

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0].mean(-2, keepdims=True)


@op
class IntegerMean(Op):
    """int16 [T, N] -> [1, N]: saturate(round_shift(sum over tokens, shift)) to low..high.

    A shift, not a division: the rest of 1/T lies in the result's scale, input scale * 2**shift / T.
    """

    shift: int
    low: int
    high: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.scale is None or len(x.shape) != 2:
            raise TypeMismatch(f"mean: an integer [T, N] is needed, not {x}")
        return TensorType((1, x.shape[1]), self.low, self.high, x.scale * 2.0**self.shift / x.shape[0])

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        total = arrays[0].sum(-2, keepdims=True)
        return numerics.saturate(numerics.round_shift(total, self.shift), self.low, self.high)
