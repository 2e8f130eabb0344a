# SPDX-License-Identifier: Apache-2.0
"""A range of tokens."""

from __future__ import annotations

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op


@op
class Select(Op):
    """[T, D] -> [stop - start, D]: tokens start..stop-1; floats and integers alike."""

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
