# SPDX-License-Identifier: Apache-2.0
"""What all norms of tokens have in common: the affine part behind them, and their place in a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import RangeOverflow, TypeMismatch
from hlsgen.ir import Op, TensorType
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part


def head_width(op: Op, heads: int, x: TensorType) -> int:
    """Elements of a part of a row of `x` that is normalised by itself."""
    if heads < 1 or x.shape[-1] % heads:
        raise TypeMismatch(f"{op.stem}: {x.shape} must divide by {heads} heads")
    return x.shape[-1] // heads


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class IntegerNorm(Op):
    """int16 [T, N] -> int8 [T, N] without gamma and beta (they are folded into the next linear layer).

    Each of the `heads` parts of a row is normalised by itself. `epsilon` is eps in units of
    (input scale / D)**2, rounded; the result's scale is 2**gain_shift / gain.

    shifts: None, or 0..7 for each element of a row, [N]: element n is 2**shifts[n] times the normalised one,
    rounded once. The layers behind have weights that are so much smaller.
    """

    epsilon: int
    gain: int
    gain_shift: int
    heads: int = 1
    shifts: np.ndarray | None = None
    centred: ClassVar[bool] = True
    """Whether a row's mean is taken away."""

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        low, high = x.integer_range
        if low < -(1 << 15) or high >= 1 << 15:
            raise RangeOverflow(f"{self.stem}: input {low}..{high} must fit 16 bits")
        width = head_width(self, self.heads, x)
        if width * width * (1 << 30) + self.epsilon >= 1 << 62 or width > 4096:
            raise RangeOverflow(f"{self.stem}: width {width} must be at most 4096, epsilon below 2**48")
        if self.shifts is not None:
            self._check_shifts(self.shifts, x.shape[-1])
        return TensorType(x.shape, -128, 127, 2.0**self.gain_shift / self.gain)

    def _check_shifts(self, shifts: np.ndarray, width: int) -> None:
        """The gain shift of an element, `gain_shift` less its shift, is one of a norm: 0 or more."""
        if self.heads > 1 or shifts.shape != (width,) or shifts.dtype.kind != "i":
            raise TypeMismatch(
                f"{self.stem}: shifts must be {width} integers, in a norm of whole rows, not "
                f"{shifts.dtype}{list(shifts.shape)} with {self.heads} heads"
            )
        low, high = int(shifts.min(initial=0)), int(shifts.max(initial=0))
        most = min((1 << numerics.NORM_SHIFT_BITS) - 1, self.gain_shift)
        if low < 0 or high > most:
            raise RangeOverflow(f"{self.stem}: shifts {low}..{high} must lie in 0..{most}")

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0]
        parts = x.reshape(*x.shape[:-1], self.heads, -1)
        shifts = 0 if self.shifts is None else self.shifts
        result = numerics.layer_norm(
            parts, self.epsilon, self.gain, self.gain_shift, centred=self.centred, shifts=shifts
        )
        return result.reshape(x.shape)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Norm(FloatOp):
    """Float: [T, N] -> [T, N], each of a token's `heads` parts normalised, times gamma [N], plus beta [N]."""

    part: ClassVar[Part] = Part.NORM
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE, TOKENS, "the input of a layer norm"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    by_token: ClassVar[bool] = True
    integer: ClassVar[type[IntegerNorm]]
    """The norm in integers."""

    gamma: np.ndarray
    beta: np.ndarray
    eps: float
    heads: int = 1

    def infer(self, *types: TensorType) -> TensorType:
        head_width(self, self.heads, types[0])
        return TensorType(types[0].shape)

    def normalised(self, x: np.ndarray) -> np.ndarray:
        """A head's rows [..., D], normalised; a new array."""
        raise TypeMismatch(f"{type(self).__name__}: no float meaning for {x.shape}")

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0]
        result = self.normalised(x.reshape(*x.shape[:-1], self.heads, -1)).reshape(x.shape)
        result *= self.gamma
        result += self.beta
        return result

    def plain(self) -> Self:
        """The norm without gamma and beta."""
        ones, zeros = np.ones(len(self.gamma)), np.zeros(len(self.beta))
        return dataclasses.replace(self, gamma=ones, beta=zeros)

    def of_scaled(self, factor: float) -> Self:
        """The norm that makes of tokens what this one makes of `factor` times them; `factor` is not 0."""
        sign = 1.0 if factor > 0 else -1.0
        return dataclasses.replace(self, gamma=self.gamma * sign, eps=self.eps / factor**2)

    def times(self, factor: float) -> Self:
        return dataclasses.replace(self, gamma=self.gamma * factor, beta=self.beta * factor)

    def times_columns(self, factors: np.ndarray) -> Self:
        return dataclasses.replace(self, gamma=self.gamma * factors, beta=self.beta * factors)

    def plus(self, row: np.ndarray) -> Self:
        return dataclasses.replace(self, beta=self.beta + row)
