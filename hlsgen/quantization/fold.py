# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> the float Graph whose nodes the integer Graph repeats one by one.

Tokens stand in an order in which the groups of masks lie side by side, see `regroup`. Every tensor is there
in the forms that its readers take, see `legalise`; then layer norms lose gamma and beta
to the linear layers behind them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, GraphBuilder, Node
from hlsgen.ops import AddConstant, ExpertLinear, GroupedLinear, Linear
from hlsgen.ops.norm import Norm
from hlsgen.quantization.legalise import legalise
from hlsgen.quantization.regroup import regroup

ROUNDING = 1e-12
"""Rows of a constant are the same where they differ less, of its largest element: products made them."""


def fold(graph: Graph) -> Graph:
    """An equal float Graph: legal, with plain layer norms, no dead nodes; raises `UnsupportedModel`."""
    # Before, so that a constant causes no copy; behind, for layers that are there twice by then.
    views, graph = graph.views, _biased(legalise(_biased(regroup(graph), _once)))
    problems = [problem for node in graph for problem in _norm_problems(graph, node)]
    if problems:
        raise UnsupportedModel(problems, code=Code.INTEGERS)
    return dataclasses.replace(_Folder(graph).fold(graph.nodes), views=views)


def _once(graph: Graph, layer: Node) -> bool:
    """Whether what a layer gives with a constant is read once, or the layer takes no longer than a copy."""
    outputs, inputs = layer.op.weight.shape  # type: ignore[attr-defined]
    users = graph.users(layer.name)
    return inputs <= outputs or len(users) == len(graph.users(users[0].name)) == 1


def _biased(graph: Graph, which: Callable[[Graph, Node], bool] = lambda *_: True) -> Graph:
    """The graph; constants that are all that a layer gets, each the same in each row, are biases of it.

    Of layers for which `which` holds: a layer is repeated for each form of its result, a sum is copied.
    """

    def constant(node: Node) -> bool:
        if not isinstance(node.op, AddConstant):
            return False
        rows = node.op.value
        return bool(np.ptp(rows, axis=0).max() <= ROUNDING * np.abs(rows).max())

    def gone(node: Node) -> bool:
        """Whether each reader of a layer is a layer with its own constant."""
        users = graph.users(node.name)
        inside = isinstance(node.op, Linear) and node.name not in graph.outputs
        return inside and bool(users) and all(map(constant, users)) and which(graph, node)

    makers = {node.name: node for node in graph if gone(node)}
    if not makers:
        return graph
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        if node.name in makers:
            continue
        op, inputs = node.op, node.inputs
        if inputs and (maker := makers.get(inputs[0])):
            op, inputs = maker.op.plus(op.value[0]), maker.inputs  # type: ignore[attr-defined]
        builder.add(node.name, op, inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def _norm_problems(graph: Graph, node: Node) -> list[Problem]:
    if not isinstance(node.op, Norm):
        return []
    wrong = [
        user
        for user in graph.users(node.name)
        if not isinstance(user.op, Linear | GroupedLinear | ExpertLinear)
    ]
    names = [f"%{user.name} ({type(user.op).__name__})" for user in wrong]
    if node.name in graph.outputs:
        names.append("the model's output")
    if not names:
        return []
    _, name = node.op.words().split(" ", 1)
    return [
        Problem(
            f"{node.name}: {name} must be followed by linear layers only, not by {', '.join(names)}",
            where=str(node.source),
            why="its gamma and beta are folded into the weights of the linear layers behind it",
            fix="use the operators that `hlsgen ops` lists behind it",
        )
    ]


class _Folder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.names = {graph.input: graph.input}

    def fold(self, nodes: tuple[Node, ...]) -> Graph:
        for node in nodes:
            op, inputs = node.op, [self.names[name] for name in node.inputs]
            if isinstance(op, Norm):
                op = op.plain()
            elif isinstance(op, Linear):
                op = self._linear(op, node.inputs[0])
            elif isinstance(op, GroupedLinear):
                op = self._grouped(op, node.inputs[0])
            elif isinstance(op, ExpertLinear):
                op = self._experts(op, node.inputs[0])
            self.names[node.name] = self.builder.add(node.name, op, inputs, node.source)
        outputs = (self.names[name] for name in self.graph.outputs)
        return self.builder.finish(*outputs, names=self.graph.names)

    def _experts(self, op: ExpertLinear, source: str) -> ExpertLinear:
        weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
        producer = self.nodes.get(source)
        if producer is not None and isinstance(producer.op, Norm):
            bias = bias + weight @ producer.op.beta
            weight = weight * producer.op.gamma
        return ExpertLinear(weight=weight, bias=bias)

    def _grouped(self, op: GroupedLinear, source: str) -> GroupedLinear:
        weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
        producer = self.nodes.get(source)
        if producer is not None and isinstance(producer.op, Norm):
            each = len(weight) // op.groups  # a row of weights reads its group's part
            gamma, beta = (
                np.repeat(row.reshape(op.groups, -1), each, 0)
                for row in (producer.op.gamma, producer.op.beta)
            )
            bias = bias + (weight * beta).sum(-1)
            weight = weight * gamma
        return GroupedLinear(groups=op.groups, weight=weight, bias=bias)

    def _linear(self, op: Linear, source: str) -> Linear:
        weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
        producer = self.nodes.get(source)
        if producer is not None and isinstance(producer.op, Norm):
            bias = bias + weight @ producer.op.beta
            weight = weight * producer.op.gamma
        return Linear(weight=weight, bias=bias)
