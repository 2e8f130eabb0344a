# SPDX-License-Identifier: Apache-2.0
"""Tokens in an order in which a mask's groups lie side by side, or in strips: a float Graph -> an equal one.

A mask may cut tokens into groups that don't see one another, wherever they stand: blocks of a grid, every
second token. Attention gives the same whatever order its keys have, and each query has its own row; so
queries and keys are read group by group, and contexts are put back. A command reads a range of keys, or goes
from window to window, so it skips what other groups hold. Where tokens are one group, as those of sliding
windows, the order is the one in which tiles read the fewest blocks of keys (`hlsgen/quantization/orders.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node, Op
from hlsgen.ops import Activation, Context, Gather, GroupedLinear, Linear, Scores, Softmax
from hlsgen.ops.norm import Norm
from hlsgen.quantization.orders import block_order

BY_ROWS = (Linear, GroupedLinear, Activation, Norm)
"""Ops that make each row of one input's."""


class _Attention(NamedTuple):
    """An attention's nodes, and its tokens in the order of their groups."""

    scores: Node
    softmax: Node
    context: Node
    order: np.ndarray


def regroup(graph: Graph) -> Graph:
    """The graph; the given one where no other order of tokens is better."""
    found = {each.context.name: each for node in graph if (each := _regrouped(graph, node))}
    if not found:
        return graph
    maker = _Maker(graph)
    for node in graph:
        each = found.get(node.name)
        op, inputs = maker.attention(each) if each else (node.op, node.inputs)
        maker.builder.add(node.name, op, inputs, node.source)
    return maker.builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def _regrouped(graph: Graph, scores: Node) -> _Attention | None:
    """The attention of scores whose tokens stand better in another order; only that reads them."""
    if not isinstance(scores.op, Scores) or scores.op.bias is None:
        return None
    softmax = _only(graph, scores, Softmax)
    context = _only(graph, softmax, Context) if softmax else None
    if softmax is None or context is None or scores.name in graph.outputs or softmax.name in graph.outputs:
        return None
    seen = np.isfinite(scores.op.bias)
    order = group_order(np.any(seen, axis=0))
    if order is not None and np.array_equal(order, np.arange(len(order))):
        order = block_order(seen)
    if order is None or np.array_equal(order, np.arange(len(order))):
        return None
    return _Attention(scores, softmax, context, order)


def _only(graph: Graph, node: Node, kind: type[Op]) -> Node | None:
    """The node's one reader, if it is of a kind and reads the node first."""
    readers = graph.users(node.name)
    alone = len(readers) == 1 and isinstance(readers[0].op, kind) and readers[0].inputs[0] == node.name
    return readers[0] if alone else None


def group_order(seen: np.ndarray) -> np.ndarray | None:
    """Tokens [T] group by group, those of a group as they were; None: queries are others than keys.

    seen [T, T]: which keys a query sees. A group is what is connected.
    """
    queries, keys = seen.shape
    if queries != keys:
        return None
    linked, group = seen | seen.T, np.full(queries, -1)
    for first in range(queries):
        if group[first] >= 0:
            continue
        members, reached = np.zeros(queries, bool), np.zeros(queries, bool)
        reached[first] = True
        while (reached & ~members).any():
            fresh = reached & ~members
            members |= fresh
            reached |= linked[fresh].any(0)
        group[members] = first
    return np.argsort(group, kind="stable")


class _Maker:
    """Builds the graph; `made` are tensors in another order, by name and order."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = {node.name: node for node in graph}
        self.names = {graph.input, *self.nodes}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.made: dict[tuple[str, bytes], str] = {}

    def attention(self, each: _Attention) -> tuple[Op, tuple[str, ...]]:
        """The op that puts contexts back, and what it reads, all else added."""
        scores, softmax, context, order = each
        query, keys = (self._rows(name, order) for name in scores.inputs)
        values = self._rows(context.inputs[1], order)
        op: Any = scores.op
        logits = self._add(scores, replace(op, bias=op.bias[:, order[:, None], order]), [query, keys])
        weights = self._add(softmax, softmax.op, [logits])
        contexts = self._add(context, context.op, [weights, values])
        return Gather(places=np.argsort(order)[:, None]), (contexts,)

    def _rows(self, name: str, order: np.ndarray) -> str:
        """A tensor's rows in another order: of what it is made of, as far as that is row by row."""
        key = name, order.tobytes()
        if key not in self.made:
            node, places = self.nodes.get(name), order[:, None]
            if node is not None and isinstance(node.op, BY_ROWS):
                made = self._add(node, node.op, [self._rows(node.inputs[0], order)])
            elif node is not None and isinstance(node.op, Gather):
                made = self._add(node, Gather(places=node.op.places[order]), node.inputs)
            else:
                made = self._add(
                    node or self.nodes[next(iter(self.nodes))], Gather(places=places), [name], name
                )
            self.made[key] = made
        return self.made[key]

    def _add(self, node: Node, op: Op, inputs: tuple[str, ...] | list[str], name: str = "") -> str:
        name = free_name(f"{name or node.name}_grouped", self.names)
        self.names.add(name)
        return self.builder.add(name, op, inputs, node.source)
