# SPDX-License-Identifier: Apache-2.0
"""Graph -> steps: each product with the longest chains that its command takes along, in and out.

What fuses with what is in the table of `roles`. No step has a home yet: see `homes`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node
from hlsgen.lower.attention import computed_always
from hlsgen.lower.cover.experts import expert_steps, routers_of
from hlsgen.lower.cover.products import constant_step, matmul_step
from hlsgen.lower.cover.rows import rows_of, selected, way_in
from hlsgen.lower.roles import Role, drained_side, is_drained, row_of
from hlsgen.lower.step import AttentionStep, LinearStep, Step
from hlsgen.machine.format.commands import Drain
from hlsgen.ops import (
    IntegerAdd,
    IntegerAddConstant,
    IntegerConstant,
    IntegerGroupedLinear,
    IntegerMatmul,
    IntegerRoute,
    IntegerTable,
)


def cover(graph: Graph) -> list[Step]:
    """The steps in the order of their products; raises `UnsupportedModel` with every node without a step."""
    coverer = _Coverer(graph)
    steps = [step for node in graph for step in coverer.steps_of(node)]
    covered = {node.name for step in steps for node in step.nodes}
    lost = [node for node in graph if node.name not in covered and coverer.is_needed(node.name)]
    if lost:
        raise UnsupportedModel([_lost(node) for node in lost], code=Code.LOWERING)
    return steps


def _lost(node: Node) -> Problem:
    return Problem(
        f"{node.name}: {type(node.op).__name__} can't be lowered",
        where=str(node.source),
        why="no command executes this node in this place",
        fix="see docs/lowering.md for what an integer graph must be",
    )


class _Coverer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}
        always = computed_always(graph)
        self._needed = [{node.name for node in graph.for_task(task, always)} for task in range(graph.tasks)]
        routes = [node for node in graph if isinstance(node.op, IntegerRoute)]
        self._routers = {name for route in routes for name in routers_of(route, self.nodes)}

    def tasks(self, name: str) -> int:
        """A bit for each task that computes the tensor; 0: all do."""
        mask = sum(1 << task for task, needed in enumerate(self._needed) if name in needed)
        return 0 if mask == (1 << len(self._needed)) - 1 else mask

    def is_needed(self, name: str) -> bool:
        """Whether any task computes the tensor."""
        return any(name in needed for needed in self._needed)

    def steps_of(self, node: Node) -> Sequence[Step]:
        """The commands that a node is the product of; none for what others do with theirs."""
        role = row_of(node.op).role
        if not self.is_needed(node.name):
            return []
        if role is Role.PRODUCT and node.name not in self._routers:
            step = self._product(node)
            # A command that reads the addend stream is never skipped: the stream goes on word by word.
            return [dataclasses.replace(step, tasks=0 if step.constant else self.tasks(node.name))]
        if role is Role.PAIR:
            scores, exp = self._pair(node)
            return [AttentionStep(scores=scores, exp=exp, context=node, tasks=self.tasks(node.name))]
        if isinstance(node.op, IntegerRoute):
            return expert_steps(node, self.graph, self.nodes, self.tasks, self.is_needed)
        return []

    def _pair(self, node: Node) -> tuple[Node, Node]:
        """Scores and exp in front of a context."""
        exp, *scores = way_in(node, self.nodes)[::-1] or (node,)
        if len(scores) != 1:
            raise UnsupportedModel(_lost(node), code=Code.LOWERING)
        return scores[0], exp

    def _product(self, node: Node) -> LinearStep:
        """The command of a linear layer, of a product of two tensors, or of a constant."""
        users = self.graph.users(node.name)
        user = users[0] if users and is_drained(node.name, users[0], self.graph) else None
        match user.op if user else None:
            case IntegerTable():
                drains = {"drain": Drain.ACTIVATION, "table": user}
            case IntegerAddConstant():
                drains = {"drain": Drain.ADD, "constant": user}
            case IntegerAdd() if user and drained_side(user, self.graph) == user.inputs.index(node.name):
                return self._sum(node, user)
            case _:
                user, drains = None, {"drain": Drain.REQUANTIZE}
        result = user.name if user else node.name
        return self._multiplied(node, {**drains, "result": result}, (user,) if user else ())

    def _sum(self, node: Node, user: Node) -> LinearStep:
        """A product to which DRAIN adds rows of another tensor."""
        other = next(name for name in user.inputs if name != node.name)
        addend, first, way = selected(other, self.nodes)
        drains = {"drain": Drain.ADD, "addend": addend, "addend_first": first, "result": user.name}
        return self._multiplied(node, drains, (*way, user))

    def _multiplied(self, node: Node, drains: dict[str, Any], after: tuple[Node, ...]) -> LinearStep:
        """What is multiplied, between the nodes of the way in and those behind it."""
        match node.op:
            case IntegerConstant():
                return constant_step(node, drains | {"nodes": (node, *after)})
            case IntegerMatmul():
                return matmul_step(node, self.graph, drains | {"nodes": (node, *after)})
            case op:
                groups = op.groups if isinstance(op, IntegerGroupedLinear) else 1
                rows, nodes = rows_of(node, self.nodes), (*way_in(node, self.nodes), node, *after)
                return LinearStep(rows=rows, linear=node, groups=groups, nodes=nodes, **drains)
