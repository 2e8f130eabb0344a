# SPDX-License-Identifier: Apache-2.0
"""Selections that begin at a whole group of rows: an integer Graph -> an equal one for a row width.

LOAD and DRAIN move `row_width` rows of a tensor at once, so a selection must begin at a multiple of it. What
begins elsewhere is selected from the same tensor made once more, with rows in front that nobody reads. Where
a tensor comes from, such rows cost nothing: patches have rows of zeros in front, a constant may have more
rows. What a tensor is made of by rows is made of inputs with the same rows in front.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node, Op, live
from hlsgen.lower.refuse import must_be
from hlsgen.ops import (
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerConstant,
    IntegerContext,
    IntegerExp,
    IntegerMatmul,
    IntegerMixedScores,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
    Transpose,
)
from hlsgen.ops.linear import Weighted
from hlsgen.ops.matmul import mover
from hlsgen.ops.norm import IntegerNorm


def align(graph: Graph, row_width: int) -> Graph:
    """The same outputs under the same names, and tensors with more rows under names of their own."""
    return _Aligner(graph, row_width).run() if needs_rows(graph, row_width) else graph


def needs_rows(graph: Graph, row_width: int) -> bool:
    """Whether a selection begins elsewhere than at a whole group of rows."""
    aligner = _Aligner(graph, row_width)
    selections = [node for node in graph if isinstance(node.op, Select)]
    return any(aligner.source(node)[1] % row_width for node in selections)


class _Aligner:
    def __init__(self, graph: Graph, row_width: int) -> None:
        self.graph, self.width = graph, row_width
        self.nodes = {node.name: node for node in graph}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.made: dict[tuple[str, int], str] = {}
        """The name of each tensor with so many rows in front."""

    def run(self) -> Graph:
        for node in self.graph:
            self.made[node.name, 0] = (
                self._select(node, 0) if isinstance(node.op, Select) else self._add(node)
            )
        built = self.builder.finish(*self.graph.outputs, names=self.graph.names)
        return replace(built, nodes=live(built.nodes, built.outputs)).verify()

    def _add(self, node: Node) -> str:
        return self.builder.add(node.name, node.op, node.inputs, node.source)

    def source(self, node: Node) -> tuple[str, int]:
        """The tensor, itself no selection, of which `node` has some rows; and the first of them."""
        first = 0
        while isinstance(node.op, Select):
            first, name = first + node.op.start, node.inputs[0]
            if name not in self.nodes:
                raise must_be(node, "a selection of tokens")
            node = self.nodes[name]
        return node.name, first

    def _select(self, node: Node, more: int, called: str = "") -> str:
        """A selection with `more` rows in front, under its own name or another one."""
        name, first = self.source(node)
        start = first - more
        needed = -start if start < 0 else 0
        front = needed + -(start + needed) % self.width
        stop = front + first + node.type.shape[0]
        source = self._more(name, front)
        return self.builder.add(
            called or self._name(node, more), Select(start=start + front, stop=stop), [source], node.source
        )

    def _name(self, node: Node, more: int, suffix: str = "") -> str:
        """The node's own, or one that no tensor of the graph has."""
        return self._unused(f"{node.name}_behind{more}{suffix}") if more else node.name

    def _unused(self, name: str) -> str:
        """The name, or one like it that no tensor of the graph has."""
        return free_name(name, self.nodes)

    def _more(self, name: str, more: int) -> str:
        """A tensor with `more` rows in front, which hold anything."""
        if (name, more) not in self.made:
            self.made[name, more] = self._made(self.nodes[name], more)
        return self.made[name, more]

    def _made(self, node: Node, more: int) -> str:
        op, inputs = node.op, list(node.inputs)
        if isinstance(op, IntegerScores | IntegerMixedScores) and op.addends is not None:
            op = replace(op, addends=np.pad(op.addends, ((0, 0), (more, 0), (0, 0))))
        match op:
            case Select():
                return self._select(node, more)
            case Patches() | Gather():
                op = _behind_zeros(op, more)
            case IntegerConstant(value=value):
                op = replace(op, value=_front(value, more, np.clip(0, op.low, op.high)))
            case IntegerAddConstant(value=value):
                op, inputs = replace(op, value=_front(value, more)), [self._more(inputs[0], more)]
            case IntegerAdd():
                inputs = [self._more(name, more) for name in inputs]
            case Weighted() | IntegerNorm() | IntegerTable() | IntegerExp() | IntegerMixedScores():
                inputs = [self._more(inputs[0], more)]
            case IntegerScores() | IntegerContext() | IntegerMatmul(stacked=False):
                inputs = [self._more(inputs[0], more), self._again(inputs[1])]
            case Transpose(heads=heads):
                inputs = [self._identity(node, more), self._again(inputs[0])]
                op = mover(heads, self.builder.type_of(inputs[1]), stacked=False)
            case _:
                raise must_be(node, "made row by row")
        return self.builder.add(self._name(node, more), op, inputs, node.source)

    def _again(self, name: str) -> str:
        """Keys or values once more: they serve one product, and lie in memory right before it."""
        node = self.nodes[name]
        inputs = list(node.inputs)
        if isinstance(node.op, Select):
            return self._select(node, 0, self._unused(f"{name}_again"))
        if isinstance(node.op, IntegerMatmul):
            inputs[1] = self._again(inputs[1])
        return self.builder.add(self._unused(f"{name}_again"), node.op, inputs, node.source)

    def _identity(self, node: Node, more: int) -> str:
        """Rows that select the channels of a transpose, `more` of zeros in front."""
        eye = np.eye(node.type.shape[0], dtype=np.int64)
        op = IntegerConstant(value=_front(eye, more), low=0, high=1, scale=1.0)
        return self.builder.add(self._name(node, more, "_rows"), op, [self.graph.input], node.source)


def _behind_zeros(op: Patches | Gather, more: int) -> Op:
    """The op with rows of zeros in front."""
    match op:
        case Patches(prefix=prefix):
            return replace(op, prefix=prefix + more)
        case Gather(places=places):
            return replace(op, places=_front(places, more, -1))


def _front(value: np.ndarray, more: int, fill: int = 0) -> np.ndarray:
    """A constant [T, N] with `more` rows in front."""
    rows = np.full((more, value.shape[1]), fill, value.dtype)
    return np.concatenate([rows, value])
