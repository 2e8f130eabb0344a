# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation over the last axis."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hlsgen.ir import op
from hlsgen.ops.norm import IntegerNorm, Norm


@op
class IntegerLayerNorm(IntegerNorm):
    """An `IntegerNorm` of rows less their mean; see `numerics.layer_norm`."""


@op
class LayerNorm(Norm):
    """Float: [T, N] -> [T, N], (x - mean) / sqrt(var + eps) * gamma + beta; gamma and beta [N]."""

    integer: ClassVar[type[IntegerNorm]] = IntegerLayerNorm
    units: ClassVar[tuple[str, ...]] = ("load_layer_norm", "load_norm_shifts")

    def normalised(self, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        centred /= np.sqrt(variance + self.eps)
        return centred
