# SPDX-License-Identifier: Apache-2.0
"""Golden between any two passes: on compositions, on integer Graphs without forms, on mixtures of experts."""

from __future__ import annotations

import pytest
from support.experts import Shape, make
from support.lowered import interpreted, watched

from benchmarks.fuzz.batch import Batch
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.integers import draw_integers
from hlsgen.ir import Graph
from hlsgen.lower.passes import PASSES
from hlsgen.lower.size import ArrayShape
from hlsgen.ops import Gather, IntegerCast

NAMES = [each.name for each in PASSES]
ARRAYS = (
    (2, 4, 4, 1), (2, 2, 2, 2), (4, 8, 2, 2), (3, 2, 8, 1), (4, 4, 4, 4), (2, 16, 4, 1), (1, 1, 1, 1),
)  # fmt: skip
"""Rows, columns, depth, row width."""


def test_compositions_that_come_from_the_quantizer() -> None:
    for number in range(3):
        for case in Batch(3, number, True).cases():
            assert case.graph is not None
            assert case.images is not None
            counts = watched(case.graph, case.images[0])
            assert list(counts) == NAMES
            assert max(counts.values()) - min(counts.values()) <= _gathered_casts(case.graph)


def _gathered_casts(graph: Graph) -> int:
    """Casts that gathers alone read: `forms` casts what is gathered, which is no tensor of the source."""
    casts = [node.name for node in graph if isinstance(node.op, IntegerCast)]
    return sum(all(isinstance(user.op, Gather) for user in graph.users(name)) for name in casts)


def check(first: int, last: int) -> None:
    """Draw integer Graphs; hold all tensors between all passes, and as the interpreter makes them."""
    for seed in range(first, last):
        draw = Draw(20, seed)
        graph = draw_integers(draw, draw.pick(1, 1, 2))
        image = draw.array(-128, 127, graph.input_type.shape)
        rows, columns, depth, width = draw.pick(*ARRAYS)
        watched(graph, image, width)
        array = ArrayShape(rows=rows, columns=columns, depth=depth, row_width=width, ring_bytes=1024)
        interpreted(graph, image, array)


def test_any_reader_of_any_tensor() -> None:
    """`forms` copies what the quantizer would have made once more; none is refused."""
    check(0, 150)


def test_keys_that_are_selected_rows_and_come_once_more() -> None:
    check(1786, 1787)


@pytest.mark.slow
def test_any_reader_of_any_tensor_at_length() -> None:
    check(150, 10_000)


@pytest.mark.parametrize("shape", [Shape(tasks=3), Shape(k=1, tasks=1, linear=True)])
def test_mixtures_of_experts(shape: Shape) -> None:
    made = make(shape)
    watched(made.graph, made.images[0])
