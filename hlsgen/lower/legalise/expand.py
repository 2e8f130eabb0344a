# SPDX-License-Identifier: Apache-2.0
"""Nodes that become others, whoever reads them: an integer Graph -> an equal one of ops that commands have.

The product of an identity's rows with keys is their transpose, exactly. Rows are selected before what LOAD
makes of them. A mean that saturates elsewhere than LOAD does goes through a layer that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node, Op
from hlsgen.lower.legalise.align import needs_rows
from hlsgen.lower.legalise.spread import needs_spread
from hlsgen.lower.roles import LOADS, takes
from hlsgen.ops import (
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerConstant,
    IntegerExpertLinear,
    IntegerGroupedLinear,
    IntegerMean,
    IntegerTable,
    Patches,
    Select,
    Transpose,
)
from hlsgen.ops.constant import digits
from hlsgen.ops.exact import dense, identity, is_narrow, unit_norm
from hlsgen.ops.gather import after
from hlsgen.ops.matmul import mover
from hlsgen.ops.norm import IntegerNorm

MOST_ROWS = 64
"""Rows of an identity, where a transpose can be cut: more would take memory and no less time."""
MOST_WHOLE = 256
"""Rows of an identity that is not cut, where no part of it would be whole groups of rows."""


def needs_width(graph: Graph, row_width: int) -> bool:
    """Whether a graph is made of other products with so many rows in a group."""
    moved = [node for node in graph if isinstance(node.op, Transpose) and node.op.heads == 1]
    widths = [graph.type_of(node.inputs[0]).shape[1] for node in moved]
    odd = needs_rows(graph, row_width) or needs_spread(graph, row_width)
    return odd or any(part_rows(n, row_width) != part_rows(n) for n in widths)


def expand(graph: Graph, row_width: int = 1) -> Graph:
    """The same tensors under the same names, and the constants that the new products need.

    What is transposed in parts takes whole groups of `row_width` rows. A constant that some tasks add is a
    product: the addend stream is read from end to end, whatever the task. So is one that is added to a sum:
    DRAIN adds one thing to a product.
    """
    expander = _Expander(graph, row_width)
    if not any(map(expander.changes, graph)):
        return graph
    for node in graph:
        expander.add(node)
    return expander.builder.finish(*graph.outputs, names=graph.names, views=graph.views)


class _Expander:
    def __init__(self, graph: Graph, row_width: int) -> None:
        self.graph, self.row_width = graph, row_width
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.names = {graph.input, *(node.name for node in graph)}
        self.identities: dict[int, str] = {}
        needed = [{node.name for node in graph.for_task(task)} for task in range(graph.tasks)]
        self.always = set.intersection(*needed)
        self.nodes = {node.name: node for node in graph}
        """The last node of each name: the given one until it becomes another."""

    def changes(self, node: Node) -> bool:
        """Whether the node becomes others."""
        match node.op:
            case IntegerAddConstant():
                return node.name not in self.always or not self._drained(node)
            case IntegerMean(low=low, high=high):
                return is_narrow(node.type) and (low, high) != (-128, 127)
            case IntegerGroupedLinear(groups=groups):
                return groups == 1 or not is_narrow(node.type)
            case Select() | Gather():
                moves = (Gather, Select) if isinstance(node.op, Gather) else (Gather,)
                return isinstance(self._source(node), (*LOADS, Patches, *moves))
            case IntegerExpertLinear():
                return not self._inner(node) and not isinstance(self._source(node), IntegerNorm)
            case op:
                return isinstance(op, Transpose)

    def _source(self, node: Node) -> Op | None:
        """The op that makes the first input."""
        return self.nodes[node.inputs[0]].op if node.inputs[0] in self.nodes else None

    def _drained(self, node: Node) -> bool:
        """Whether the node's input can leave the array as it is added to, if need be as a copy."""
        source = self._source(node)
        return is_narrow(self.graph.type_of(node.inputs[0])) or (
            source is not None and takes(source, node.op)
        )

    def _inner(self, node: Node) -> bool:
        """Whether a layer of experts is their second one."""
        source = self.nodes.get(node.inputs[0])
        before = self._source(source) if source and isinstance(source.op, IntegerTable) else None
        return isinstance(before, IntegerExpertLinear)

    def add(self, node: Node) -> None:
        """Add what the node becomes."""
        if not self.changes(node):
            self._add(node.name, node.op, node.inputs, node)
            return
        match node.op:
            case Transpose() as op:
                self._transpose(node, op)
            case IntegerAddConstant() as op:
                self._constant(node, op)
            case IntegerMean() as op:
                mean = self._add(
                    self._unused(f"{node.name}_mean"), replace(op, low=-128, high=127), node.inputs, node
                )
                self._add(node.name, identity(node.type), [mean], node)
            case IntegerExpertLinear() as op:
                name, width = f"{node.inputs[0]}_rows", self.builder.type_of(node.inputs[0]).shape[-1]
                rows = self._add(self._unused(name), unit_norm(width), node.inputs[:1], node)
                self._add(node.name, op, [rows, *node.inputs[1:]], node)
            case IntegerGroupedLinear() as op:
                self._add(node.name, dense(op), node.inputs, node)
            case Select(start=start, stop=stop) as op:
                before = self.nodes[node.inputs[0]]
                if isinstance(before.op, Gather):
                    order = replace(before.op, places=before.op.places[start:stop])
                    self._add(node.name, order, before.inputs, node)
                else:
                    self._selection(node, op)
            case Gather() as op:
                self._gather(node, op)

    def _add(self, name: str, op: Op, inputs: Sequence[str], node: Node) -> str:
        name = self.builder.add(name, op, inputs, node.source)
        self.nodes[name] = replace(node, name=name, op=op, inputs=tuple(inputs))
        return name

    def _selection(self, node: Node, op: Select) -> None:
        """Rows of what LOAD makes: of a norm before it, of a mean all, of patches from a copy.

        Rows of 16 bits are not normed by head where they are a part of the stream: that norm is copied, too.
        """
        load = self.nodes[node.inputs[0]]
        kind = self.builder.type_of(load.inputs[0])
        match load.op:
            case IntegerNorm() | IntegerMean() if node.type.shape == load.type.shape:
                self._add(node.name, load.op, load.inputs, node)
            case IntegerNorm(heads=heads) if heads == 1 or is_narrow(kind):
                shape = (node.type.shape[0], *kind.shape[1:])
                rows = replace(node, name=self._unused(f"{node.name}_rows"), inputs=load.inputs[:1])
                self.add(replace(rows, type=replace(kind, shape=shape)))
                self._add(node.name, load.op, [rows.name], node)
            case _:
                copy = self._add(self._unused(f"{load.name}_copy"), identity(load.type), [load.name], node)
                self._add(node.name, op, [copy], node)

    def _gather(self, node: Node, op: Gather) -> None:
        """Rows in another order of what is in another order itself, of a norm before it, else of a copy."""
        places, name = self._composed(op.places, node.inputs[0])
        source = self.nodes[name]
        if places.shape[1] == 1 and isinstance(source.op, IntegerNorm) and source.op.heads == 1:
            inner, before = self._composed(places, source.inputs[0])
            if not isinstance(self.nodes[before].op, (*LOADS, Patches)):
                rows = self._add(self._unused(f"{node.name}_rows"), Gather(places=inner), [before], node)
                self._add(node.name, source.op, [rows], node)
                return
        if isinstance(source.op, (*LOADS, Patches)):
            name = self._add(self._unused(f"{name}_copy"), identity(source.type), [name], node)
        self._add(node.name, Gather(places=places), [name], node)

    def _composed(self, places: np.ndarray, name: str) -> tuple[np.ndarray, str]:
        """Rows of a tensor as rows of the one that is neither selected nor in another order."""
        source = self.nodes[name]
        while isinstance(source.op, Gather | Select):
            match source.op:
                case Gather(places=first):
                    places = after(first, places)
                case Select(start=start):
                    places = np.where(places < 0, -1, places + start)
            source = self.nodes[source.inputs[0]]
        return places, source.name

    def _constant(self, node: Node, op: IntegerAddConstant) -> None:
        """The constant as a product of rows that are there for every task, and an addition."""
        rows, layer = digits(op.value, node.type.scale or 1.0)
        source = self.builder.add(self._unused(f"{node.name}_rows"), rows, [self.builder.input], node.source)
        value = self.builder.add(self._unused(f"{node.name}_value"), layer, [source], node.source)
        self.builder.add(node.name, IntegerAdd(), [value, *node.inputs], node.source)

    def _unused(self, name: str) -> str:
        """The name, or one like it that no tensor of the graph has."""
        return free_name(name, self.names)

    def _transpose(self, node: Node, op: Transpose) -> None:
        """Identity rows times the tensor as keys; with one head its channels are cut into equal parts."""
        source = self.builder.type_of(node.inputs[0])
        width = source.shape[1] // op.heads
        rows = part_rows(width, self.row_width) if op.heads == 1 else width
        if rows not in self.identities:
            eye = IntegerConstant(value=np.eye(rows, dtype=np.int64), low=0, high=1, scale=1.0)
            name = self._unused(f"identity_{rows}")
            self.identities[rows] = self.builder.add(name, eye, [self.builder.input], node.source)
        heads = source.shape[1] // rows
        product = mover(heads, source, stacked=heads > op.heads)
        self.builder.add(node.name, product, [self.identities[rows], node.inputs[0]], node.source)


def part_rows(width: int, row_width: int = 1) -> int:
    """Channels that are transposed together: all, or a divisor; whole groups of rows where there is one.

    A divisor that is no whole number of groups of `row_width` is none.
    """
    if width <= MOST_ROWS:
        return width
    fitting = [rows for rows in range(1, MOST_ROWS + 1) if width % rows == 0 and rows % row_width == 0]
    whole = [rows for rows in fitting if rows % 4 == 0]
    return max(whole or ([width] if width <= MOST_WHOLE or not fitting else fitting))
