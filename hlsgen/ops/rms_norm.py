# SPDX-License-Identifier: Apache-2.0
"""Root mean square normalisation over the last axis: a layer norm that leaves the mean where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from hlsgen.ir import op
from hlsgen.ops.kinds import Input
from hlsgen.ops.norm import IntegerNorm, Norm


@op
class IntegerRMSNorm(IntegerNorm):
    """An `IntegerNorm` of rows as they are; see `numerics.layer_norm`, not centred."""

    centred: ClassVar[bool] = False


@op
class RMSNorm(Norm):
    """Float: [T, N] -> [T, N], x / sqrt(mean of x**2 + eps) * gamma + beta; gamma and beta [N]."""

    title: ClassVar[str] = "an RMS norm"
    reads: ClassVar[tuple[Input, ...]] = (replace(Norm.reads[0], name="the input of an RMS norm"),)
    integer: ClassVar[type[IntegerNorm]] = IntegerRMSNorm
    units: ClassVar[tuple[str, ...]] = ("load_layer_norm", "load_norm_shifts")

    def normalised(self, x: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps)
