"""Matrix product with a constant weight: every projection, both MLP layers, patch embedding, heads."""

from __future__ import annotations

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op

ACCUMULATOR_BITS = 32


@op
class Linear(Op):
    """Float: [T, K] -> [T, N], x @ weight.T + bias; weight [N, K], bias [N]."""

    weight: np.ndarray
    bias: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.shape[-1] != self.weight.shape[1] or self.bias.shape != self.weight.shape[:1]:
            raise TypeMismatch(
                f"linear: weight {self.weight.shape} and bias {self.bias.shape} must fit input {x.shape}"
            )
        return TensorType((*x.shape[:-1], self.weight.shape[0]))

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0] @ self.weight.T.astype(np.float64) + self.bias


@op
class IntegerLinear(Op):
    """[T, K] -> [T, N]: saturate(round_shift((x @ weight.T + bias) * multiplier, shift)), per channel.

    weight [N, K] in -127..127, bias [N] within 32 bits, multiplier [N] 15 bits, shift [N]; the result is
    saturated to low..high and has the real scale `scale`. The accumulator is proved to stay in 32 bits.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    low: int
    high: int
    scale: float

    def accumulator_range(self, x: TensorType) -> tuple[int, int]:
        """Smallest and largest value any accumulator can reach, bias and all partial sums included."""
        low, high = x.integer_range
        ends = np.stack([self.weight * low, self.weight * high]).astype(np.int64)
        least, most = np.minimum(ends.min(0), 0).sum(-1), np.maximum(ends.max(0), 0).sum(-1)
        return (
            int(min(least.min(), (least + self.bias).min())),
            int(max(most.max(), (most + self.bias).max())),
        )

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.shape[-1] != self.weight.shape[1]:
            raise TypeMismatch(f"linear: weight {self.weight.shape} must fit input {x.shape}")
        least, most = self.accumulator_range(x)
        limit = 1 << (ACCUMULATOR_BITS - 1)
        if least < -limit or most >= limit:
            raise RangeOverflow(f"linear: accumulator range {least}..{most} leaves {ACCUMULATOR_BITS} bits")
        return TensorType((*x.shape[:-1], self.weight.shape[0]), self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        acc = (arrays[0].astype(np.float64) @ self.weight.T.astype(np.float64)).astype(np.int64)
        return numerics.requantize(acc + self.bias, self.multiplier, self.shift, self.low, self.high)
