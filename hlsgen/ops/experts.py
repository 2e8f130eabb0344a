# SPDX-License-Identifier: Apache-2.0
"""Linear layers of which each token uses those of its experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hlsgen import numerics
from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part
from hlsgen.ops.linear import Weighted, check_constants
from hlsgen.ops.route import split


def _shape(weight: np.ndarray, bias: np.ndarray, x: TensorType, route: TensorType) -> tuple[int, int]:
    """The result's shape, or `TypeMismatch`."""
    tokens, choices = route.shape[0], route.shape[0] * (route.shape[-1] // 2)
    if weight.ndim != 3 or x.shape[-1] != weight.shape[2] or bias.shape != weight.shape[:2]:
        raise TypeMismatch(f"experts: weight {weight.shape} and bias {bias.shape} must fit input {x.shape}")
    if x.shape[0] not in (tokens, choices):
        raise TypeMismatch(f"experts: input must have {tokens} or {choices} rows, not {x.shape[0]}")
    return choices, weight.shape[1]


def _each(
    x: np.ndarray, route: np.ndarray, width: int, layer: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """`layer(expert, rows)` on the rows of each expert that is used; result [..., T*k, width]."""
    chosen, _ = split(route)
    k = chosen.shape[-1]
    flat = chosen.reshape(*chosen.shape[:-2], -1)
    if x.shape[-2] != flat.shape[-1]:
        x = np.repeat(x, k, axis=-2)
    result = np.zeros((*flat.shape, width), x.dtype)
    for expert in np.unique(flat):
        rows = flat == expert
        result[rows] = layer(int(expert), x[rows])
    return result


@op
class ExpertLinear(FloatOp):
    """Float: x [T, K] or [T*k, K] and a routing [T, 2k] -> [T*k, N]; row t*k + j is token t's choice j.

    weight [E, N, K], bias [E, N].
    """

    part: ClassVar[Part] = Part.EXPERTS
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NARROW, (Part.NORM, Part.ACTIVATION), "the input of experts"),
        Input(Kind.ROUTING, (Part.ROUTING,), "the routing of experts"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.INDEX, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = (
        "load_layer_norm",
        "load_rows",
        "drain_requantize",
        "drain_activation",
    )

    weight: np.ndarray
    bias: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        x, route = types
        return TensorType(_shape(self.weight, self.bias, x, route))

    def times(self, factor: float) -> Self:
        return replace(self, weight=self.weight * factor, bias=self.bias * factor)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        x, route = arrays
        return _each(x, route, weight.shape[1], lambda expert, rows: rows @ weight[expert].T + bias[expert])


@op
class IntegerExpertLinear(Weighted):
    """`IntegerLinear` with weight [E, N, K] and bias, multiplier and shift [E, N]; rows as `ExpertLinear`."""

    def infer(self, *types: TensorType) -> TensorType:
        x, route = types
        shape = _shape(self.weight, self.bias, x, route)
        check_constants("experts", self.bias, self.multiplier, self.shift)
        self.accumulator_range(x)
        return TensorType(shape, self.low, self.high, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        def layer(expert: int, rows: np.ndarray) -> np.ndarray:
            acc = numerics.exact_matmul(rows, self.weight[expert].T)
            return numerics.requantize(
                acc + self.bias[expert], self.multiplier[expert], self.shift[expert], self.low, self.high
            )

        x, route = arrays
        return _each(x, route, self.weight.shape[1], layer)
