# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation over the last axis."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow
from hlsgen.ir import Op, TensorType, op


@op
class LayerNorm(Op):
    """Float: [T, D] -> [T, D], (x - mean) / sqrt(var + eps) * gamma + beta; gamma and beta [D]."""

    gamma: np.ndarray
    beta: np.ndarray
    eps: float

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0]
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        centred /= np.sqrt(variance + self.eps)
        centred *= self.gamma
        centred += self.beta
        return centred


@op
class IntegerLayerNorm(Op):
    """int16 [T, D] -> int8 [T, D] without gamma and beta (they are folded into the next linear layer).

    `epsilon` is eps in units of (input scale / D)**2, rounded; the result's scale is 2**gain_shift / gain.
    See `numerics.layer_norm`.
    """

    epsilon: int
    gain: int
    gain_shift: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        low, high = x.integer_range
        if low < -(1 << 15) or high >= 1 << 15:
            raise RangeOverflow(f"layer_norm: input {low}..{high} must fit 16 bits")
        width = x.shape[-1]
        if width * width * (1 << 30) + self.epsilon >= 1 << 62 or width > 4096:
            raise RangeOverflow(f"layer_norm: width {width} must be at most 4096, epsilon below 2**48")
        return TensorType(x.shape, -128, 127, 2.0**self.gain_shift / self.gain)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return numerics.layer_norm(arrays[0], self.epsilon, self.gain, self.gain_shift)
