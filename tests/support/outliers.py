# SPDX-License-Identifier: Apache-2.0
"""An MLP with channels that reach far, which the quantizer sets apart, and images for it."""

from __future__ import annotations

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.ops import Activation, Add, LayerNorm, Linear, Patches
from hlsgen.quantization.apart import FEWEST

IMAGE = TensorType((2, 24, 24))


def _layer(outputs: int, inputs: int, seed: int) -> Linear:
    random = np.random.default_rng(seed)
    return Linear(
        weight=random.normal(size=(outputs, inputs)) / inputs**0.5, bias=random.normal(size=outputs)
    )


def far_mlp(
    far: float, hidden: int = FEWEST, *, tokens: int = 36, second: bool = False, first: bool = True
) -> Graph:
    """x + B(gelu(A norm(x))); two channels reach `far` times as far, their readers weigh them less."""
    builder = GraphBuilder("image", IMAGE if tokens == 36 else TensorType((2, 4 * tokens, 4)))
    cut = builder.add("patches", Patches(patch=(4, 4)), ["image"])
    x = builder.add("tokens", _layer(8, 32, 1), [cut])
    norm = builder.add("norm", LayerNorm(gamma=np.ones(8), beta=np.zeros(8), eps=1e-5), [x])
    before, behind = _layer(hidden, 8, 2), _layer(8, hidden, 3)
    before.weight[5:7] *= far
    behind.weight[:, 5:7] /= far
    builder.add("fc1", before, [norm])
    builder.add("gelu", Activation(function="gelu"), ["fc1"])
    builder.add("fc2", behind, ["gelu"])
    result = builder.add("sum", Add(), [x, "fc2"] if first else ["fc2", x])
    return builder.finish(result, "gelu") if second else builder.finish(result)


def far_images(count: int = 48, seed: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *IMAGE.shape))
