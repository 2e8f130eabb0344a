# SPDX-License-Identifier: Apache-2.0
"""Image patches as rows (im2col of a convolution whose stride is its kernel)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part


@op
class Patches(FloatOp):
    """[C, H, W] -> [prefix + H/ph * W/pw, C*ph*pw]: raster order, elements ordered (c, y, x).

    `prefix` leading rows are zero: they become class or register tokens through `AddConstant`. The op
    moves values only, so one function serves floats and integers.
    """

    part: ClassVar[Part] = Part.PATCHES
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.IMAGE),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("load_patches",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    patch: tuple[int, int]
    prefix: int = 0

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if len(x.shape) != 3 or x.shape[1] % self.patch[0] or x.shape[2] % self.patch[1]:
            raise TypeMismatch(f"patches: image {x.shape} must be [C, H, W] divisible by {self.patch}")
        channels, height, width = x.shape
        count = height // self.patch[0] * (width // self.patch[1])
        shape = (self.prefix + count, channels * self.patch[0] * self.patch[1])
        if not x.is_integer:
            return TensorType(shape)
        low, high = x.integer_range
        return TensorType(shape, min(low, 0), max(high, 0), x.scale)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        *batch, channels, height, width = x.shape
        ph, pw = self.patch
        split = x.reshape(*batch, channels, height // ph, ph, width // pw, pw)
        n = len(batch)
        order = (*range(n), n + 1, n + 3, n, n + 2, n + 4)
        rows = split.transpose(order).reshape(*batch, -1, channels * ph * pw)
        zeros = np.zeros((*batch, self.prefix, rows.shape[-1]), rows.dtype)
        return np.concatenate([zeros, rows], axis=-2)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return self._rows(arrays[0])

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return self._rows(arrays[0])
