# SPDX-License-Identifier: Apache-2.0
"""Moves that are products: an integer Graph -> an equal one that a matcher can cover.

The product of an identity's rows with keys is their transpose, exactly.
"""

from __future__ import annotations

import numpy as np

from hlsgen.ir import Graph, GraphBuilder, Node
from hlsgen.ops import IntegerConstant, Transpose
from hlsgen.ops.matmul import mover

MOST_ROWS = 64
"""Rows of an identity, where a transpose can be cut: more would take memory and no less time."""
MOST_WHOLE = 256
"""Rows of an identity that is not cut, where no part of it would be whole groups of rows."""


def expand(graph: Graph) -> Graph:
    """The same tensors under the same names, and the constants that the new products need."""
    if not any(isinstance(node.op, Transpose) for node in graph):
        return graph
    builder = GraphBuilder(graph.input, graph.input_type)
    identities: dict[int, str] = {}
    for node in graph:
        if isinstance(node.op, Transpose):
            _transpose(builder, node, node.op, identities)
        else:
            builder.add(node.name, node.op, node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names)


def _transpose(builder: GraphBuilder, node: Node, op: Transpose, identities: dict[int, str]) -> None:
    """Identity rows times the tensor as keys; with one head its channels are cut into equal parts."""
    source = builder.type_of(node.inputs[0])
    width = source.shape[1] // op.heads
    rows = part_rows(width) if op.heads == 1 else width
    if rows not in identities:
        eye = IntegerConstant(value=np.eye(rows, dtype=np.int64), low=0, high=1, scale=1.0)
        identities[rows] = builder.add(f"identity_{rows}", eye, [builder.input], node.source)
    heads = source.shape[1] // rows
    product = mover(heads, source, stacked=heads > op.heads)
    builder.add(node.name, product, [identities[rows], node.inputs[0]], node.source)


def part_rows(width: int) -> int:
    """Channels that are transposed together: all, or a divisor; whole groups of rows where there is one."""
    if width <= MOST_ROWS:
        return width
    fitting = [rows for rows in range(1, MOST_ROWS + 1) if width % rows == 0]
    whole = [rows for rows in fitting if rows % 4 == 0]
    return max(whole or ([width] if width <= MOST_WHOLE else fitting))
