# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions, in integers by a 256-entry table."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hlsgen.erf import erf, in_blocks
from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part


def _gelu(x: np.ndarray) -> np.ndarray:
    return in_blocks(lambda part: 0.5 * part * (1 + erf(part / math.sqrt(2))), x)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS = {"gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": lambda x: np.maximum(x, 0.0)}
"""Name -> function on float64 arrays."""


@op
class Activation(FloatOp):
    """Float: one of `FUNCTIONS`, elementwise."""

    part: ClassVar[Part] = Part.ACTIVATION
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.NARROW, (Part.LINEAR, Part.EXPERTS), "the input of an activation"),
    )
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("drain_activation",)
    by_token: ClassVar[bool] = True
    advice: ClassVar[tuple[str, str]] = (
        "activations are applied as a linear layer's results leave the machine",
        "",
    )

    function: str

    def infer(self, *types: TensorType) -> TensorType:
        if self.function not in FUNCTIONS:
            raise TypeMismatch(
                f"activation: function must be one of {', '.join(FUNCTIONS)}, not {self.function!r}"
            )
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return FUNCTIONS[self.function](arrays[0])


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
