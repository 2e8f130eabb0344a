# SPDX-License-Identifier: Apache-2.0
"""Where a product by head finds its operands: heads apart, in one of the memories."""

from __future__ import annotations

from hlsgen.ir import Graph, Node
from hlsgen.lower.step import Home
from hlsgen.machine.format.commands import Target
from hlsgen.ops import (
    IntegerContext,
    IntegerGroupedLinear,
    IntegerMatmul,
    IntegerMixedScores,
    IntegerScores,
)
from hlsgen.ops.matmul import product_shape
from hlsgen.ops.norm import IntegerNorm


def operand_home(node: Node, index: int, graph: Graph) -> Home | None:
    """Where input `index` of a node must lie; None: it lies as its maker left it, or inside a command."""
    match node.op, index:
        case IntegerScores(heads=heads), 0:
            return Home(Target.FEATURES, heads)
        case IntegerScores(heads=heads, shared=shared), _:
            return Home(Target.KEYS, heads // (shared + 1))
        case IntegerMixedScores(weight=weight), _:
            return Home(Target.FEATURES, weight.shape[1], padded=False)
        case IntegerContext(shared=shared), 1:
            return Home(Target.VALUES, graph.type_of(node.inputs[0]).shape[0] // (shared + 1))
        case IntegerMatmul(), 0:
            return Home(Target.FEATURES, left_heads(node, graph))
        case IntegerMatmul(heads=heads, shared=shared, transposed=transposed), _:
            target = Target.KEYS if transposed else Target.VALUES
            return Home(target, heads // (shared + 1), padded=transposed)
        case IntegerGroupedLinear(groups=groups), _ if groups > 1:
            return Home(Target.FEATURES, groups)
        case IntegerNorm(heads=heads), _ if heads > 1:
            return Home(Target.RESIDUAL, heads, padded=False)
        case _:
            return None


def left_heads(node: Node, graph: Graph) -> int:
    """Heads of the left side of a product of two tensors; 1: all heads meet the same rows."""
    op, (a, b) = node.op, (graph.type_of(name) for name in node.inputs)
    match op:
        case IntegerMatmul(heads=heads, transposed=transposed, shared=shared):
            *_, inner = product_shape(heads, transposed, a, b, shared)
            return heads if a.shape[1] == heads * inner else 1
        case _:
            return 1
