# SPDX-License-Identifier: Apache-2.0
"""Tokens and channels change places."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part


def moved(ids: Any, shape: tuple[int, ...], heads: int) -> tuple[Any, tuple[int, ...]]:
    """Where elements `ids` of a tensor [T, H*d] lie in its transpose, and the transpose's shape."""
    tokens, width = shape
    each = width // heads
    token, column = ids // width, ids % width
    head, element = column // each, column % each
    return (element * heads + head) * tokens + token, (each, heads * tokens)


@op
class Transpose(FloatOp):
    """[T, H*d] -> [d, H*T], per head; floats and integers alike. With one head it is the transpose."""

    part: ClassVar[Part] = Part.TRANSPOSED
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.NARROW, TOKENS, "what is transposed"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.INDEX)
    units: ClassVar[tuple[str, ...]] = ("load_rows", "drain_requantize")
    shares: ClassVar[tuple[int, ...]] = (0,)

    heads: int

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if len(x.shape) != 2 or self.heads < 1 or x.shape[1] % self.heads:
            raise TypeMismatch(f"transpose: {x.shape} must divide by {self.heads} heads")
        shape = (x.shape[1] // self.heads, self.heads * x.shape[0])
        return TensorType(shape, x.low, x.high, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        x = arrays[0].reshape(*arrays[0].shape[:-1], self.heads, -1)
        moved = np.moveaxis(x, -3, -1)  # [..., H, d, T]
        moved = np.swapaxes(moved, -3, -2)
        return moved.reshape(*moved.shape[:-2], -1)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return self.golden(*arrays)
