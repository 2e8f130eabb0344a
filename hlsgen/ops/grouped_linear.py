# SPDX-License-Identifier: Apache-2.0
"""Matrix products of parts of each row with weights of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.linear import Weighted, check_constants


def _parts(x: np.ndarray, groups: int) -> np.ndarray:
    """[..., T, G*k] -> [..., G, T, k]."""
    return np.swapaxes(x.reshape(*x.shape[:-1], groups, -1), -2, -3)


def _joined(x: np.ndarray) -> np.ndarray:
    """[..., G, T, n] -> [..., T, G*n]."""
    x = np.swapaxes(x, -2, -3)
    return x.reshape(*x.shape[:-2], -1)


def _columns(groups: int, weight: np.ndarray, x: TensorType) -> int:
    """Columns of the result, or `TypeMismatch`."""
    outputs, inputs = weight.shape
    if outputs % groups or x.shape[-1] != groups * inputs:
        raise TypeMismatch(f"grouped linear: weight {weight.shape} in {groups} groups must fit {x.shape}")
    return outputs


@op
class GroupedLinear(FloatOp):
    """Float: [T, G*k] -> [T, N]; part g of a row times its N/G rows of weight [N, k], plus bias [N]."""

    part: ClassVar[Part] = Part.LINEAR
    title: ClassVar[str] = "a grouped linear layer"
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.NARROW, TOKENS, "the input of a grouped linear layer"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.INDEX, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_requantize")
    by_token: ClassVar[bool] = True

    groups: int
    weight: np.ndarray
    bias: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        return TensorType((*x.shape[:-1], _columns(self.groups, self.weight, x)))

    def times(self, factor: float) -> Self:
        return replace(self, weight=self.weight * factor, bias=self.bias * factor)

    def times_columns(self, factors: np.ndarray) -> Self:
        return replace(self, weight=self.weight * factors[:, None], bias=self.bias * factors)

    def plus(self, row: np.ndarray) -> Self:
        return replace(self, bias=self.bias + row)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        weight = self.weight.astype(np.float64, copy=False).reshape(self.groups, -1, self.weight.shape[1])
        return _joined(_parts(arrays[0], self.groups) @ weight.transpose(0, 2, 1)) + self.bias


@op
class IntegerGroupedLinear(Weighted):
    """[T, G*k] -> [T, N], as `IntegerLinear` for each part; weight [N, k] in -127..127, constants [N]."""

    groups: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        columns = _columns(self.groups, self.weight, x)
        check_constants("grouped linear", self.bias, self.multiplier, self.shift)
        self.accumulator_range(x)
        return TensorType((*x.shape[:-1], columns), self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        weight = self.weight.reshape(self.groups, -1, self.weight.shape[1]).transpose(0, 2, 1)
        acc = _joined(numerics.exact_matmul(_parts(arrays[0], self.groups), weight)) + self.bias
        return numerics.requantize(acc, self.multiplier, self.shift, self.low, self.high)
