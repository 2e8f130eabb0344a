# SPDX-License-Identifier: Apache-2.0
"""A Graph with fewer of its equal layers: what the cycle model needs to compare machines, in less time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hlsgen.ir import Graph

KEPT = 3
"""Layers that stay. The first ones follow other operations; from the third on each is like the one before."""
_Signature = tuple[object, ...]


@dataclass(frozen=True)
class Shortened:
    """The shorter Graph: `dropped` layers are missing, each of them like the last one that stayed.

    twins: names of that layer's nodes, the last one first, each with its twin in the layer before.
    """

    graph: Graph
    dropped: int
    twins: tuple[tuple[str, str], ...]


def shorten(graph: Graph) -> Shortened:
    """Drop layers that are equal in operations, shapes and connections; without such ones it is the same."""
    nodes = graph.nodes
    first, period, count = _periods(_signatures(graph))
    if count <= KEPT:
        return Shortened(graph, 0, ())
    begin, end = first + KEPT * period, first + count * period
    last = begin - period
    names = {nodes[i].name: nodes[last + (i - begin) % period].name for i in range(begin, end)}
    rest = [
        dataclasses.replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))
        for node in nodes[end:]
    ]
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    twins = tuple((nodes[i].name, nodes[i - period].name) for i in reversed(range(last, begin)))
    short = Graph(graph.input, graph.input_type, (*nodes[:begin], *rest), outputs, graph.names)
    return Shortened(short, count - KEPT, twins)


def weights_of(graph: Graph) -> int:
    """Number of weights."""
    return sum(weight.size for node in graph if (weight := getattr(node.op, "weight", None)) is not None)


def _signatures(graph: Graph) -> list[_Signature]:
    """Each node's operation, its shape, and how far before it each of its inputs is."""
    places = {graph.input: -1} | {node.name: i for i, node in enumerate(graph.nodes)}
    return [
        (type(node.op), node.type.shape, node.type.bits, *(i - places[name] for name in node.inputs))
        for i, node in enumerate(graph.nodes)
    ]


def _periods(items: Sequence[_Signature]) -> tuple[int, int, int]:
    """Where the longest repetition begins, its period, and how often the period is there."""
    best = (0, 1, 1)
    for period in range(1, len(items) // 2 + 1):
        run = 0
        for i in range(len(items) - period + 1):
            if i < len(items) - period and items[i] == items[i + period]:
                run += 1
                continue
            count = 1 + run // period
            if count > 1 and count * period > best[1] * best[2]:
                best = (i - run, period, count)
            run = 0
    return best
