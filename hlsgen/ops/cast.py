# SPDX-License-Identifier: Apache-2.0
"""int16 values as int8, token by token: what a linear layer reads of the residual stream without a norm."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.ops.rms_norm import IntegerRMSNorm

ROOT_BITS = 23
"""log2 of the square root of a cast's epsilon."""


@op
class Cast(FloatOp):
    """Float: [T, N] -> [T, N], the values as they are."""

    part: ClassVar[Part] = Part.CAST
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.WIDE, TOKENS, "what is cast"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("load_layer_norm",)
    by_token: ClassVar[bool] = True

    def infer(self, *types: TensorType) -> TensorType:
        return TensorType(types[0].shape)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return arrays[0]


@op
class IntegerCast(IntegerRMSNorm):
    """An RMS norm whose epsilon outweighs every row: it divides all rows by nearly the same number.

    1 / sqrt(m + epsilon) is 1 / sqrt(epsilon) less a part m / (2 * epsilon), where m is N**2 times a row's
    mean square. The quantizer keeps the input's scale so wide that this part is below 2**-8.
    """

    def infer(self, *types: TensorType) -> TensorType:
        normal = super().infer(*types)
        (x,) = types
        unit = (x.scale or 1.0) * 2.0**ROOT_BITS / x.shape[-1]
        return TensorType(x.shape, -128, 127, unit * (normal.scale or 1.0))
