# SPDX-License-Identifier: Apache-2.0
"""Tokens in any order: repeated, left out, side by side."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.errors import TypeMismatch
from hlsgen.ir import TensorType, op
from hlsgen.ops.kinds import TOKENS, FloatOp, Input, Kind, Part
from hlsgen.windows import taken


@op
class Gather(FloatOp):
    """[S, N] -> [T, P*N]: row t is the tokens `places[t]` [P] side by side, zeros for -1.

    Floats and integers alike.
    """

    part: ClassVar[Part] = Part.SELECTED
    title: ClassVar[str] = "tokens in another order"
    reads: ClassVar[tuple[Input, ...]] = (Input(None, TOKENS, "tokens that are put in order"),)
    gives: ClassVar[tuple[Kind, ...]] = (Kind.NARROW, Kind.WIDE)
    units: ClassVar[tuple[str, ...]] = ("load_runs",)
    shares: ClassVar[tuple[int, ...]] = (0,)

    places: np.ndarray

    def infer(self, *types: TensorType) -> TensorType:
        (x,) = types
        places = self.places
        if len(x.shape) != 2 or places.ndim != 2 or not places.size or places.dtype.kind != "i":
            raise TypeMismatch(
                f"gather: places {places.shape} of {x.shape} must be integers [T, P] of [S, N]"
            )
        if places.min() < -1 or places.max() >= x.shape[0]:
            raise TypeMismatch(
                f"gather: places must be -1 or in 0..{x.shape[0] - 1}, not {places.min()}..{places.max()}"
            )
        shape = (len(places), places.shape[1] * x.shape[1])
        if not x.is_integer:
            return TensorType(shape, x.low, x.high, x.scale)
        low, high = x.integer_range
        empty = bool((places < 0).any())
        return TensorType(shape, min(low, 0) if empty else low, max(high, 0) if empty else high, x.scale)

    def golden(self, *arrays: np.ndarray) -> np.ndarray:
        found = taken(arrays[0], self.places, arrays[0].ndim - 2)
        return found.reshape(*found.shape[:-2], -1)

    def reference(self, *arrays: np.ndarray) -> np.ndarray:
        return self.golden(*arrays)


def after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The places of one gather behind another: `first` [S, P], then `second` [T, Q]; [T, Q*P]."""
    return taken(first + 1, second, 0).reshape(len(second), -1) - 1
