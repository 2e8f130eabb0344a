# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> the float Graph whose nodes the integer Graph repeats one by one.

Layer norms lose gamma and beta to the linear layers behind them; what the machine pools gets a Mean node.
"""

from __future__ import annotations

import numpy as np

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.ir import Graph, GraphBuilder, Node, Op, live
from hlsgen.ops import ExpertLinear, Linear, Mean, Select
from hlsgen.ops.kinds import FloatOp, Part
from hlsgen.ops.norm import Norm


def fold(graph: Graph) -> Graph:
    """An equal float Graph: plain layer norms, no dead nodes; raises `UnsupportedModel`.

    Between a layer norm and a Mean stands the diagonal linear layer `<norm>_affine`; a single token of the
    residual stream that feeds a linear layer without a norm passes through the Mean `<token>_mean`.
    """
    alive = live(graph.nodes, graph.outputs)
    problems = [problem for node in alive for problem in _norm_problems(graph, node)]
    if problems:
        raise UnsupportedModel(problems)
    return _Folder(graph).fold(alive)


def _norm_problems(graph: Graph, node: Node) -> list[Problem]:
    if not isinstance(node.op, Norm):
        return []
    wrong = [user for user in graph.users(node.name) if not isinstance(user.op, Linear | ExpertLinear | Mean)]
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
            fix="use pre-norm transformer blocks, with a linear layer behind every norm",
        )
    ]


class _Folder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.names = {graph.input: graph.input}
        self.extra: dict[str, str] = {}

    def fold(self, nodes: tuple[Node, ...]) -> Graph:
        for node in nodes:
            op, inputs = node.op, [self.names[name] for name in node.inputs]
            if isinstance(op, Norm):
                op = op.plain()
            elif isinstance(op, Linear):
                op, inputs = self._linear(op, node.inputs[0])
            elif isinstance(op, ExpertLinear):
                op = self._experts(op, node.inputs[0])
            elif isinstance(op, Mean):
                inputs = [self._pooled(node.inputs[0])]
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

    def _linear(self, op: Linear, source: str) -> tuple[Linear, list[str]]:
        weight, bias = op.weight.astype(np.float64), op.bias.astype(np.float64)
        producer = self.nodes.get(source)
        if producer is not None and isinstance(producer.op, Norm):
            bias = bias + weight @ producer.op.beta
            weight = weight * producer.op.gamma
        elif producer is not None and self._is_residual_token(producer):
            name = self._add_once(f"{producer.name}_mean", Mean(), producer)
            return Linear(weight=weight, bias=bias), [name]
        return Linear(weight=weight, bias=bias), [self.names[source]]

    def _pooled(self, source: str) -> str:
        producer = self.nodes.get(source)
        if producer is None or not isinstance(producer.op, Norm):
            return self.names[source]
        affine = Linear(
            weight=np.diag(producer.op.gamma).astype(np.float64), bias=producer.op.beta.astype(np.float64)
        )
        return self._add_once(f"{producer.name}_affine", affine, producer)

    def _add_once(self, name: str, op: Op, producer: Node) -> str:
        if name not in self.extra:
            self.extra[name] = self.builder.add(name, op, [self.names[producer.name]], producer.source)
        return self.extra[name]

    def _is_residual_token(self, node: Node) -> bool:
        if node.type.shape[0] != 1 or len(node.type.shape) != 2:
            return False
        origin: Node | None = node
        while origin is not None and isinstance(origin.op, Select):
            origin = self.nodes.get(origin.inputs[0])
        return origin is not None and isinstance(origin.op, FloatOp) and origin.op.part is Part.STREAM
