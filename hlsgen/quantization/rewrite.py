# SPDX-License-Identifier: Apache-2.0
"""Folded float Graph and scales -> integer Graph, node by node under the same names."""

from __future__ import annotations

from hlsgen.ir import Graph, GraphBuilder, TensorType
from hlsgen.quantization.rules.rule import Model, rule_of


def rewrite(model: Model) -> Graph:
    """The integer Graph, verified: every range and width proved by the types of its ops."""
    graph = model.graph
    image = TensorType(graph.input_type.shape, -128, 127, model.scales[graph.input])
    builder = GraphBuilder(graph.input, image)
    for node in graph:
        op = rule_of(node).integer(node.op, model.site(node))
        builder.add(node.name, op, node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)
