# SPDX-License-Identifier: Apache-2.0
"""A range of tokens."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part


@op
class Select(FloatOp):
    """[T, N] -> [stop - start, N]: tokens start..stop-1; floats and integers alike."""

    part: ClassVar[Part] = Part.SELECTED
    reads: ClassVar[tuple[Input, ...]] = (Input(None, TOKENS, "selected tokens"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = ("load_rows",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    start: int
    stop: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if not 0 <= self.start < self.stop <= x.shape[0]:
            raise TypeMismatch(f"select: tokens {self.start}..{self.stop} must lie in 0..{x.shape[0]}")
        return TensorType((self.stop - self.start, *x.shape[1:]), x.low, x.high, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0][..., self.start : self.stop, :]

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0][..., self.start : self.stop, :]
