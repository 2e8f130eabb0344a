# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions, in integers by a 256-entry table."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.pointwise import NAMED, function


@op
class Activation(FloatOp):
    """Float: a function of each element, by its name or as an expression (`hlsgen/ops/pointwise.py`)."""

    part: ClassVar[Part] = Part.ACTIVATION
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NARROW, (*TOKENS, Part.EXPERTS), "the input of an activation"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("drain_activation",)
    by_token: ClassVar[bool] = True

    function: str

    def infer(self, *types: TensorType) -> TensorType:
        try:
            function(self.function)
        except ValueError as error:
            names = ", ".join(NAMED)
            what = (
                f"activation: function must be one of {names}, or an expression, not {self.function!r:.200}"
            )
            raise TypeMismatch(f"{what}: {error}") from error
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return function(self.function)(arrays[0])


@op
class IntegerTable(Op):
    """int8 -> int8: table[x + 128]; `table` [256] within -128..127, `scale` is the result's."""

    table: np.ndarray
    scale: float

    def infer(self, *types: TensorType) -> TensorType:
        low, high = types[0].integer_range
        if len(self.table) != 256 or low < -128 or high > 127:
            raise TypeMismatch(
                f"table: 256 entries and an int8 input are needed, not {len(self.table)} and {low}..{high}"
            )
        return TensorType(types[0].shape, -128, 127, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return self.table.take(arrays[0] + 128)
