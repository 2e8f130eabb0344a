# SPDX-License-Identifier: Apache-2.0
"""Image patches as rows: im2col of a convolution."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import FloatOp, Input, Kind, Part
from hlsgen.windows import Windows, taken


@op
class Patches(FloatOp):
    """[C, H, W] -> [prefix + rows * columns, C*ph*pw]: raster order, elements ordered (c, y, x).

    A patch lies `stride` behind the one before; (0, 0): its own height and width. The image has `padding`
    zeros at its top, bottom, left and right, or is cut by so many pixels where they are negative; rows and
    columns that no patch reaches are left out. `prefix` leading rows are zero: they become class or register
    tokens through `AddConstant`. The op moves values only, so one function serves floats and integers.
    """

    part: ClassVar[Part] = Part.PATCHES
    reads: ClassVar[tuple[Input, ...]] = (Input(Kind.IMAGE),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW,)
    units: ClassVar[tuple[str, ...]] = ("load_patches",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    patch: tuple[int, int]
    prefix: int = 0
    stride: tuple[int, int] = (0, 0)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def windows(self, height: int, width: int) -> tuple[Windows, Windows]:
        """The patches' rows and columns of pixels, in an image of so many."""
        down = Windows.over(height, self.patch[0], self.stride[0], self.padding[:2])
        return down, Windows.over(width, self.patch[1], self.stride[1], self.padding[2:])

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        if len(x.shape) != 3 or min(w.count for w in self.windows(*x.shape[1:])) < 1:
            raise TypeMismatch(f"patches: image {x.shape} must be [C, H, W] and hold a patch {self.patch}")
        channels = x.shape[0]
        count = math.prod(window.count for window in self.windows(*x.shape[1:]))
        shape = (self.prefix + count, channels * self.patch[0] * self.patch[1])
        if not x.is_integer:
            return TensorType(shape)
        low, high = x.integer_range
        return TensorType(shape, min(low, 0), max(high, 0), x.scale)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        *batch, channels, height, width = x.shape
        ph, pw = self.patch
        down, across = self.windows(height, width)
        split = taken(taken(x, down.places(height).ravel(), -2), across.places(width).ravel(), -1)
        split = split.reshape(*batch, channels, down.count, ph, across.count, pw)
        n = len(batch)
        order = (*range(n), n + 1, n + 3, n, n + 2, n + 4)
        rows = split.transpose(order).reshape(*batch, -1, channels * ph * pw)
        zeros = np.zeros((*batch, self.prefix, rows.shape[-1]), rows.dtype)
        return np.concatenate([zeros, rows], axis=-2)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        return self._rows(arrays[0])

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return self._rows(arrays[0])
