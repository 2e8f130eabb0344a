# SPDX-License-Identifier: Apache-2.0
"""The products of a model, whatever computes them: what a share of useful multipliers counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.lower.shape import is_diagonal
from hlsgen.ops import (
    IntegerContext,
    IntegerExpertLinear,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMixedScores,
    IntegerScores,
    Patches,
)
from hlsgen.ops.matmul import product_shape
from hlsgen.ops.score_bias import is_seen

SPARSE = 4
"""A weight that has but one in so many elements is a mixture or a move: its zeros are no products."""


def useful_macs(graph: Graph) -> int:
    """Multiply-accumulates of the mathematical model: no padding, no zero rows for class tokens.

    A layer that is repeated, so that its result is there in several forms, counts once.
    """
    prefix = {node.name: node.op.prefix for node in graph if isinstance(node.op, Patches)}
    each: dict[object, int] = {}
    for node in graph:
        weight = getattr(node.op, "weight", None)
        again = node.name if weight is None else (node.inputs, weight.shape, weight.tobytes())
        each.setdefault(again, _macs(node, graph, prefix))
    return sum(each.values())


def _pairs(scores: Node) -> int:
    """Queries of all heads, times the keys that each sees."""
    addends = getattr(scores.op, "addends", None)
    return math.prod(scores.type.shape) if addends is None else int(np.count_nonzero(is_seen(addends)))


def _macs(node: Node, graph: Graph, prefix: Mapping[str, int]) -> int:
    """A node's; what has no product has none."""
    match node.op:
        case IntegerExpertLinear():
            return node.type.shape[0] * graph.type_of(node.inputs[0]).shape[-1] * node.type.shape[-1]
        case IntegerLinear(weight=weight) if is_diagonal(weight):
            return 0  # a copy
        case IntegerLinear(weight=weight):
            rows = node.type.shape[0] - prefix.get(node.inputs[0], 0)
            real = int(np.count_nonzero(weight))
            return rows * (real if SPARSE * real < weight.size else weight.size)
        case IntegerGroupedLinear(weight=weight):
            return node.type.shape[0] * weight.size
        case IntegerMatmul() as op:
            a, b = (graph.type_of(name) for name in node.inputs)
            *_, inner = product_shape(op.heads, op.transposed, a, b, op.shared)
            return math.prod(node.type.shape) * inner
        case IntegerScores(heads=heads):
            return _pairs(node) * (graph.type_of(node.inputs[0]).shape[-1] // heads)
        case IntegerMixedScores(weight=weight):
            return math.prod(node.type.shape) * weight.shape[1]
        case IntegerContext():
            scores = graph.node(graph.node(node.inputs[0]).inputs[0])
            return _pairs(scores) * (node.type.shape[1] // scores.type.shape[0])
        case _:
            return 0
