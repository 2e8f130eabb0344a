# SPDX-License-Identifier: Apache-2.0
"""Elementwise functions, in integers by a table."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Op, TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.pointwise import NAMED, function

MOST_INDEX_BITS = 12
"""Bits of a table's index at most."""


@op
class Activation(FloatOp):
    """Float: a function of each element, by its name or as an expression (`hlsgen/ops/pointwise.py`)."""

    part: ClassVar[Part] = Part.ACTIVATION
    reads: ClassVar[tuple[Input, ...]] = (
        Input(Kind.INDEX, (*TOKENS, Part.EXPERTS), "the input of an activation"),
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
    """Up to 12 bits -> int8: table[x + half]; `table` [2 * half] within -128..127, `scale` is the result's.

    A table of b bits, 8 to 12, has 2**b entries, those of the inputs -half..half - 1.
    """

    table: np.ndarray
    scale: float

    @property
    def bits(self) -> int:
        """Bits of an index."""
        return len(self.table).bit_length() - 1

    def infer(self, *types: TensorType) -> TensorType:
        (low, high), entries = types[0].integer_range, len(self.table)
        if not 8 <= self.bits <= MOST_INDEX_BITS or entries != 1 << self.bits:
            raise TypeMismatch(f"table: the entries must be a power of two in 256..4096, not {entries}")
        half = entries // 2
        if low < -half or high >= half:
            raise TypeMismatch(
                f"table: the input must be in {-half}..{half - 1} for {entries} entries, not {low}..{high}"
            )
        return TensorType(types[0].shape, -128, 127, self.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return self.table.take(arrays[0] + len(self.table) // 2)
