# SPDX-License-Identifier: Apache-2.0
"""Windows of whole groups of rows: an integer Graph -> an equal one for a row width.

LOAD and DRAIN move `row_width` rows at once, so a window must begin at a multiple of it. Windows of another
size get rows behind their last one, where that is no more than a third. Run lists bring zeros there, no query
sees them, as none sees other windows, and who reads the contexts passes them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node, Op, live
from hlsgen.lower.windows import window_rows
from hlsgen.ops import (
    Gather,
    IntegerContext,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerTable,
)
from hlsgen.ops.norm import IntegerNorm
from hlsgen.ops.score_bias import HIDDEN

BY_ROWS = (IntegerLinear, IntegerGroupedLinear, IntegerTable, IntegerNorm)
"""Ops that make each row of one input's."""


MOST_MORE = 3
"""A window gets at most one row more for so many."""


@dataclass(frozen=True)
class Pitch:
    """A tensor that is another one, with rows between: of each `pitch` rows the first `rows` are its."""

    tensor: str
    rows: int
    pitch: int


def needs_spread(graph: Graph, row_width: int) -> bool:
    """Whether there are windows that are no whole groups of rows."""
    return row_width > 1 and any(odd_rows(node, row_width) for node in graph)


def odd_rows(scores: Node, row_width: int) -> int:
    """Rows of a window of scores that gets more, because they are no whole groups; else 0."""
    rows = window_rows(scores)
    return rows if rows % row_width and MOST_MORE * (-rows % row_width) <= rows else 0


def spread(graph: Graph, row_width: int) -> tuple[Graph, Mapping[str, Pitch]]:
    """The same outputs under the same names, and what each tensor is that stands for another one."""
    if not needs_spread(graph, row_width):
        return graph, {}
    spreader = _Spreader(graph, row_width)
    for node in graph:
        spreader.add(node)
    built = spreader.builder.finish(*graph.outputs, names=graph.names, views=graph.views)
    built = replace(built, nodes=live(built.nodes, built.outputs)).verify()
    kept = {node.name for node in built}
    return built, {name: pitch for name, pitch in spreader.pitches.items() if name in kept}


class _Spreader:
    def __init__(self, graph: Graph, row_width: int) -> None:
        self.graph, self.width = graph, row_width
        self.nodes = {node.name: node for node in graph}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.pitches: dict[str, Pitch] = {}
        self.made: dict[Pitch, str] = {}
        self.sizes = {node.name: odd_rows(node, row_width) for node in graph}

    def add(self, node: Node) -> None:
        """Add the node; contexts of windows as the rows of those that are spread."""
        rows = self._rows(node)
        op, inputs = self._context(node, rows) if rows else (node.op, node.inputs)
        self.builder.add(node.name, op, inputs, node.source)

    def _rows(self, node: Node) -> int:
        """Rows of a window of contexts that must be spread; else 0."""
        if not isinstance(node.op, IntegerContext) or node.inputs[0] not in self.nodes:
            return 0
        return self.sizes.get(self.nodes[node.inputs[0]].inputs[0], 0)

    def _context(self, node: Node, rows: int) -> tuple[Op, tuple[str, ...]]:
        """The op that takes the contexts of rows that are the tensor's, and what it reads, all else added."""
        exp = self.nodes[node.inputs[0]]
        scores = self.nodes[exp.inputs[0]]
        pitch = -(-rows // self.width) * self.width
        query, keys = (self._tensor(Pitch(name, rows, pitch)) for name in scores.inputs)
        values = self._tensor(Pitch(node.inputs[1], rows, pitch))
        op: Any = scores.op
        op = replace(op, addends=_apart(op.addends, rows, pitch))
        logits = self._make(Pitch(scores.name, rows, pitch), op, [query, keys], scores)
        weights = self._make(Pitch(exp.name, rows, pitch), exp.op, [logits], exp)
        contexts = self._make(Pitch(node.name, rows, pitch), node.op, [weights, values], node)
        real = np.flatnonzero(_places(node.type.shape[0], rows, pitch) >= 0)
        return Gather(places=real[:, None]), (contexts,)

    def _make(self, pitch: Pitch, op: Op, inputs: list[str], node: Node) -> str:
        name = free_name(f"{pitch.tensor}_by{pitch.pitch}", self.nodes.keys() | self.pitches)
        self.pitches[name] = pitch
        return self.builder.add(name, op, inputs, node.source)

    def _tensor(self, pitch: Pitch) -> str:
        """A tensor with rows behind each window."""
        if pitch not in self.made:
            self.made[pitch] = self._spread(pitch)
        return self.made[pitch]

    def _spread(self, pitch: Pitch) -> str:
        node = self.nodes.get(pitch.tensor)
        if node is not None and isinstance(node.op, BY_ROWS):
            return self._make(pitch, node.op, [self._tensor(replace(pitch, tensor=node.inputs[0]))], node)
        count = self.builder.type_of(pitch.tensor).shape[0]
        places = _places(count, pitch.rows, pitch.pitch)[:, None]
        source = pitch.tensor
        if node is not None and isinstance(node.op, Gather):
            source = node.inputs[0]
            places = np.where(places < 0, -1, node.op.places[places[:, 0]])
        return self._make(pitch, Gather(places=places), [source], node or next(iter(self.graph)))


def _places(count: int, rows: int, pitch: int) -> np.ndarray:
    """The row that stands at each place, of `count` rows, with `pitch` places a window; -1: none."""
    found = np.full((count // rows, pitch), -1)
    found[:, :rows] = np.arange(count).reshape(-1, rows)
    return found.reshape(-1)


def _apart(addends: np.ndarray, rows: int, pitch: int) -> np.ndarray:
    """Addends [H, T, T] with rows and columns behind each window; all that stands there is hidden.

    Nobody reads the contexts of these rows, so they see what the row before them sees: a window that hides
    nothing then needs no addends.
    """
    heads, count, _ = addends.shape
    places = _places(count, rows, pitch)
    result = np.full((heads, len(places), len(places)), HIDDEN, addends.dtype)
    before = np.maximum.accumulate(places)
    result[..., places >= 0] = addends[:, before]
    return result
