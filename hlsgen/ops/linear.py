# SPDX-License-Identifier: Apache-2.0
"""Matrix product with a constant weight: every projection, both MLP layers, patch embedding, heads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import Problem, RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part

ACCUMULATOR_BITS = 32


def check_constants(name: str, bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> None:
    """Raise `RangeOverflow` for all constants [..., N] that a record of the Image can't hold."""
    half = 1 << (numerics.BIAS_BITS - 1)
    problems = []
    dyadic = "take what hlsgen.numerics.dyadic makes of the scale ratio"
    for field, values, low, high, bits, fix in (
        ("bias", bias, -half, half - 1, numerics.BIAS_BITS, "give the channel a larger weight scale"),
        ("multiplier", multiplier, 0, (1 << numerics.MULTIPLIER_BITS) - 1, numerics.MULTIPLIER_BITS, dyadic),
        ("shift", shift, 0, numerics.MOST_SHIFT, numerics.SHIFT_BITS, dyadic),
    ):
        outside = np.argwhere((values < low) | (values > high))
        if len(outside):
            *experts, channel = map(int, outside[0])
            place = "".join(f"expert {expert}, " for expert in experts) + f"channel {channel}"
            problems.append(
                Problem(
                    f"{name}: {field} must be in {low}..{high}, not {values[(*experts, channel)]}",
                    where=place if len(outside) == 1 else f"{place} and {len(outside) - 1} more",
                    why=f"the accelerator has {bits} bits for it",
                    fix=fix,
                )
            )
    if problems:
        raise RangeOverflow(problems)


def narrow_weight(weight: np.ndarray) -> np.ndarray:
    """The weight as int8, an eighth of its size; unchanged where it does not fit."""
    if weight.dtype == np.int8 or not weight.size or weight.min() < -128 or weight.max() > 127:
        return weight
    return weight.astype(np.int8)


def weighted_range(name: str, weight: np.ndarray, bias: np.ndarray, x: TensorType) -> tuple[int, int]:
    """Smallest and largest value that any accumulator of `x @ weight.T + bias` can reach.

    Partial sums count, too. weight [..., N, K], bias [..., N]. Raises `RangeOverflow` where they do not fit.
    """
    low, high = min(x.integer_range[0], 0), max(x.integer_range[1], 0)
    positive = np.maximum(weight, 0).sum(-1, dtype=np.int64)
    negative = np.minimum(weight, 0).sum(-1, dtype=np.int64)
    lowest, highest = positive * low + negative * high, positive * high + negative * low
    least = int(min(lowest.min(), (lowest + bias).min()))
    most = int(max(highest.max(), (highest + bias).max()))
    limit = 1 << (ACCUMULATOR_BITS - 1)
    if least < -limit or most >= limit:
        raise RangeOverflow(f"{name}: accumulator range {least}..{most} leaves {ACCUMULATOR_BITS} bits")
    return least, most


@op
class Linear(FloatOp):
    """Float: [T, K] -> [T, N], x @ weight.T + bias; weight [N, K], bias [N]."""

    part: ClassVar[Part] = Part.LINEAR
    reads: ClassVar[tuple[Input, ...]] = (
        Input(
            Kind.NARROW,
            (*TOKENS, Part.PATCHES),
            "the input of a linear layer",
        ),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.INDEX, Kind.WIDE, Kind.OUTPUT, Kind.ROUTER)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_requantize")
    by_token: ClassVar[bool] = True

    weight: np.ndarray
    bias: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.shape[-1] != self.weight.shape[1] or self.bias.shape != self.weight.shape[:1]:
            raise TypeMismatch(
                f"linear: weight {self.weight.shape} and bias {self.bias.shape} must fit input {x.shape}"
            )
        return TensorType((*x.shape[:-1], self.weight.shape[0]))

    def times(self, factor: float) -> Self:
        return replace(self, weight=self.weight * factor, bias=self.bias * factor)

    def times_columns(self, factors: np.ndarray) -> Self:
        return replace(self, weight=self.weight * factors[:, None], bias=self.bias * factors)

    def plus(self, row: np.ndarray) -> Self:
        return replace(self, bias=self.bias + row)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        result = arrays[0] @ self.weight.T.astype(np.float64, copy=False)
        result += self.bias
        return result


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Weighted(Op):
    """Integers of a layer with weights: weight in -127..127, kept in 8 bits, and constants by channel.

    weight_bits: 4 where the machine shall keep the weights, which are then in -8..7, in 4 bits.

    bias, multiplier and shift are as `check_constants` has them; results are saturated to low..high and have
    the real scale `scale`.
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    low: int
    high: int
    scale: float
    weight_bits: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", narrow_weight(self.weight))

    def accumulator_range(self, x: TensorType) -> tuple[int, int]:
        """See `weighted_range`; raises `RangeOverflow` where a weight has more than `weight_bits` bits."""
        name, half = self.stem.replace("_", " "), 1 << (self.weight_bits - 1)
        if self.weight.size and (self.weight.min() < -half or self.weight.max() >= half):
            raise RangeOverflow(f"{name}: weights of {self.weight_bits} bits must be in {-half}..{half - 1}")
        return weighted_range(name, self.weight, self.bias, x)


@op
class IntegerLinear(Weighted):
    """[T, K] -> [T, N]: saturate(round_shift((x @ weight.T + bias) * multiplier, shift)), per channel.

    weight [N, K] in -127..127; bias, multiplier and shift [N] as `check_constants` has them; the result is
    saturated to low..high and has the real scale `scale`. The accumulator is proved to stay in 32 bits.
    Weights are kept in 8 bits.
    """

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if x.shape[-1] != self.weight.shape[1]:
            raise TypeMismatch(f"linear: weight {self.weight.shape} must fit input {x.shape}")
        check_constants("linear", self.bias, self.multiplier, self.shift)
        self.accumulator_range(x)
        return TensorType((*x.shape[:-1], self.weight.shape[0]), self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        (x,) = arrays
        rows = x.reshape(-1, x.shape[-1])  # one product, whatever the batch axes are
        acc = numerics.exact_matmul(rows, self.weight.T)
        acc += self.bias
        result = numerics.requantize(acc, self.multiplier, self.shift, self.low, self.high)
        return result.reshape(*x.shape[:-1], -1)
