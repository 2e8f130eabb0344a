# SPDX-License-Identifier: Apache-2.0
"""Selections of what LOAD makes: of norms of norms, and of norms by head of the stream."""

from __future__ import annotations

import numpy as np
import pytest
from support.lowered import interpreted, watched

from hlsgen.ir import Graph, GraphBuilder, Op, TensorType
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import IntegerCast, IntegerLayerNorm, IntegerLinear, IntegerRMSNorm, Patches, Select

TOKENS, WIDTH = 8, 6
RANDOM = np.random.default_rng(2)
ARRAY = ArrayShape(rows=2, columns=4, depth=4)
CAST = IntegerCast(epsilon=1 << 46, gain=1 << 14, gain_shift=10)


def norm(heads: int) -> Op:
    kind = IntegerLayerNorm if heads == 1 else IntegerRMSNorm
    return kind(epsilon=50, gain=1 << 14, gain_shift=9, heads=heads)


def model(*norms: Op, wide: bool) -> Graph:
    """Norms one behind the other, then some rows of the last one: an output, beside that norm itself."""
    graph = GraphBuilder("image", TensorType((1, 4, 4), -128, 127, 1.0))
    patches = graph.add("patches", Patches(patch=(1, 2)), ["image"])
    limit = (1 << 15) - 1 if wide else 127
    linear = IntegerLinear(
        weight=RANDOM.integers(-99, 99, (WIDTH, 2)), bias=np.zeros(WIDTH, np.int64),
        multiplier=np.full(WIDTH, 1 << 14), shift=np.full(WIDTH, 12 if wide else 20),
        low=-limit, high=limit, scale=1.0,
    )  # fmt: skip
    x = graph.add("x", linear, [patches])
    for number, op in enumerate(norms):
        x = graph.add(f"norm_{number}", op, [x])
    return graph.finish(graph.add("some", Select(start=3, stop=6), [x]), x, names=("some", "all"))


@pytest.mark.parametrize(
    ("norms", "wide"),
    [
        ((norm(1),), True),
        ((norm(3),), False),
        ((norm(3),), True),
        ((norm(1), norm(1)), True),
        ((norm(1), norm(3)), True),
        ((CAST, norm(2)), False),
        ((CAST, norm(1), norm(3)), True),
    ],
    ids=lambda given: "-".join(type(op).__name__ for op in given) if isinstance(given, tuple) else str(given),
)
def test_some_rows_of_norms(norms: tuple[Op, ...], wide: bool) -> None:
    graph = model(*norms, wide=wide)
    image = RANDOM.integers(-128, 128, graph.input_type.shape)
    watched(graph, image)
    interpreted(graph, image, ARRAY)
