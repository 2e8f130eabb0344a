# SPDX-License-Identifier: Apache-2.0
"""Graph -> steps: which nodes one command executes together; see `order` for their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.ir import Graph, Node
from hlsgen.lower.attention import computed_always
from hlsgen.lower.products import constant_step, matmul_step, product_place
from hlsgen.lower.step import AttentionStep, LinearStep, Rows, Step
from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.ops import (
    Choose,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerConstant,
    IntegerContext,
    IntegerExp,
    IntegerExpertLinear,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    IntegerMixedScores,
    IntegerRoute,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
)
from hlsgen.ops.norm import IntegerNorm


class Matcher:
    """Matches an integer Graph to steps; collects every problem before it raises."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}
        self.problems: list[Problem] = []
        self.covered: set[str] = set()
        always = computed_always(graph)
        self._needed = [always | {node.name for node in graph.for_task(task)} for task in range(graph.tasks)]

    def tasks(self, *names: str) -> int:
        """A bit for each task that computes any of the tensors; 0: all do."""
        mask = sum(1 << task for task, needed in enumerate(self._needed) if needed & set(names))
        return 0 if mask == (1 << len(self._needed)) - 1 else mask

    def _is_needed(self, name: str) -> bool:
        return any(name in needed for needed in self._needed)

    def steps(self) -> list[Step]:
        """The steps in the order of their products; raises `UnsupportedModel` with all problems."""
        result: list[Step] = []
        routers = {
            name for node in self.graph if isinstance(node.op, IntegerRoute) for name in self._routers(node)
        }
        for node in self.graph:
            if node.name not in routers:
                result += self._steps_of(node)
        self._check_memories(result)
        for node in self.graph:
            if node.name not in self.covered and self._is_needed(node.name):
                self._refuse(node, "no command executes this node in this place")
        if self.problems:
            raise UnsupportedModel(self.problems)
        return result

    def _steps_of(self, node: Node) -> Sequence[Step]:
        """The commands that a node is the product of; none for what others do with theirs."""
        match node.op:
            case IntegerLinear() | IntegerGroupedLinear() | IntegerMatmul() | IntegerConstant():
                step = self._one_product(node)
                # A command that reads the addend stream is never skipped: the stream goes on word by word.
                tasks = 0 if step and step.constant else self.tasks(node.name)
                return [dataclasses.replace(step, tasks=tasks)] if step else []
            case IntegerContext():
                attention = self._attention(node)
                return [attention] if attention else []
            case IntegerRoute():
                return self._experts(node)
            case _:
                return []

    def _check_memories(self, steps: list[Step]) -> None:
        """Refuse a tensor that lies in another memory than its reader's: int8 features, int16 residual."""
        homes = {
            step.result: step.target if isinstance(step, LinearStep) else Target.FEATURES for step in steps
        }
        for step in steps:
            if not isinstance(step, LinearStep) or step.rows.load is Load.PATCHES:
                continue
            wanted = Target.FEATURES if step.rows.load is Load.ROWS else Target.RESIDUAL
            if homes.get(step.rows.tensor, wanted) is not wanted:
                bits = 8 if wanted is Target.FEATURES else 16
                self._refuse(
                    step.linear, f"%{step.rows.tensor}, which it reads, must be a result of {bits} bits"
                )
            if step.addend and homes.get(step.addend, Target.RESIDUAL) is not Target.RESIDUAL:
                self._refuse(
                    step.linear, f"%{step.addend}, to which it is added, must be a result of 16 bits"
                )
            if step.factors and homes.get(step.factors.tensor) not in (Target.KEYS, Target.VALUES):
                what = f"%{step.factors.tensor}, by which it multiplies, must be a linear layer for it alone"
                self._refuse(step.linear, what)
            pool = step.rows.pool
            low, high = pool.type.integer_range if pool else (0, 0)
            limit = (1 << 15) if step.rows.norm else (1 << 7)
            if pool and (low, high) != (-limit, limit - 1):
                self._refuse(pool, f"the mean saturates to {-limit}..{limit - 1} there, not to {low}..{high}")

    def _refuse(self, node: Node, why: str) -> None:
        if not any(problem.what.startswith(f"{node.name}:") for problem in self.problems):
            self.problems.append(
                Problem(
                    f"{node.name}: {type(node.op).__name__} can't be lowered",
                    where=str(node.source),
                    why=why,
                    fix="see `hlsgen ops` for what each op may follow",
                )
            )

    def _routers(self, route: Node) -> tuple[str, ...]:
        """The linear layers behind a routing, one for each task or one for all."""
        source = self.nodes[route.inputs[0]]
        return source.inputs if isinstance(source.op, Choose) else (source.name,)

    def _experts(self, route: Node) -> list[LinearStep]:
        """A mixture of experts: routers, then two steps for each expert."""
        users = self.graph.users(route.name)
        layers = [node for node in users if isinstance(node.op, IntegerExpertLinear)]
        combine = next((node for node in users if isinstance(node.op, IntegerCombine)), None)
        parts = self._expert_parts(layers, combine)
        rows = self._rows(layers[0].inputs[0]) if layers else None
        if parts is None or rows is None or rows.load is not Load.LAYER_NORM:
            self._refuse(route, "its experts must be a layer norm's two linear layers with a table between")
            return []
        table, combine = parts
        names = (*self._routers(route), route.inputs[0], route.name, table.name, combine.name)
        self.covered |= {*names, *(layer.name for layer in layers)}
        # A task that leaves before these experts has a router that nobody needs.
        routers = [self.nodes[name] for name in self._routers(route) if self._is_needed(name)]
        read = [self._rows(node.inputs[0]) for node in routers]
        if None in read:
            self._refuse(route, "its router must read a norm, or another step's result")
            return []
        steps = [self._router(node, r, route, table) for node, r in zip(routers, read, strict=True) if r]
        mask = self.tasks(route.name)
        for expert in range(self.graph.type_of(route.inputs[0]).shape[-1]):
            first, second = (_expert_layer(layer, expert, route.type.shape[0]) for layer in layers)
            common: dict[str, Any] = {"expert": expert + 1, "route": route, "tasks": mask}
            steps += [_expert_up(rows, first, table, common), _expert_down(table, second, combine, common)]
        return steps

    def _expert_parts(self, layers: list[Node], combine: Node | None) -> tuple[Node, Node] | None:
        """The table between both layers and the combination behind them, if they are what they must be."""
        if len(layers) != 2 or combine is None or combine.inputs[1] != layers[1].name:
            return None
        table = self.nodes.get(layers[1].inputs[0])
        if table is None or not isinstance(table.op, IntegerTable) or table.inputs[0] != layers[0].name:
            return None
        return table, combine

    def _router(self, node: Node, rows: Rows, route: Node, table: Node) -> LinearStep:
        return LinearStep(
            rows=rows,
            linear=node,
            drain=Drain.REQUANTIZE,
            target=Target.QUEUES,
            result=node.name,
            route=route,
            experts_table=table,
            tasks=self.tasks(node.name),
        )

    def _rows(self, name: str) -> Rows | None:
        """How the machine makes the operand rows `name`."""
        node = self.nodes.get(name)
        if node is not None and isinstance(node.op, Patches):
            self.covered.add(name)
            return Rows(load=Load.PATCHES, tensor=node.inputs[0], patches=node)
        norm = pool = None
        if node is not None and isinstance(node.op, IntegerNorm):
            self.covered.add(node.name)
            norm, name = node, node.inputs[0]
            node = self.nodes.get(name)
        if node is not None and isinstance(node.op, IntegerMean):
            self.covered.add(node.name)
            pool, name = node, node.inputs[0]
            node = self.nodes.get(name)
        first = 0
        while node is not None and isinstance(node.op, Select):
            self.covered.add(node.name)
            first, name = first + node.op.start, node.inputs[0]
            node = self.nodes.get(name)
        if node is None:
            return None
        load = Load.ROWS
        if norm or pool:
            load = Load.POOL_NORM if norm and pool else Load.LAYER_NORM if norm else Load.POOL
        return Rows(load=load, tensor=name, first=first, norm=norm, pool=pool)

    def _one_product(self, node: Node) -> LinearStep | None:
        """The command of a linear layer, of a product of two tensors, or of a constant."""
        step = self._product(node)
        users = self.graph.users(node.name)
        if step is None or not (users or node.name in self.graph.outputs):
            self._refuse(node, "its input is not made by a command")
            return None
        self.covered.add(node.name)
        if step.rows.norm and step.rows.norm.op.heads != step.groups:  # type: ignore[attr-defined]
            self._refuse(node, "the norm that it reads must have as many heads as it has groups")
        if step.constant is not None:
            return self._placed(step, node, users)
        if len(users) == 1 and node.name not in self.graph.outputs:
            user = users[0]
            if isinstance(user.op, IntegerTable):
                self.covered.add(user.name)
                return dataclasses.replace(
                    step, drain=Drain.ACTIVATION, target=Target.FEATURES, result=user.name, table=user
                )
            if isinstance(user.op, IntegerAdd | IntegerAddConstant) and not self._is_addend(node, user):
                return self._add(step, node, user)
        if node.name in self.graph.outputs:
            return dataclasses.replace(step, target=Target.OUTPUT)
        return self._placed(step, node, users)

    def _product(self, node: Node) -> LinearStep | None:
        """What is multiplied; the result is requantized and goes nowhere yet."""
        common: dict[str, Any] = {"drain": Drain.REQUANTIZE, "target": Target.FEATURES, "result": node.name}
        match node.op:
            case IntegerConstant():
                return constant_step(node, common)
            case IntegerMatmul():
                return matmul_step(node, self.graph, common)
            case IntegerGroupedLinear(groups=groups):
                rows = self._rows(node.inputs[0])
                heads = groups if groups > 1 else 0
                common |= {"groups": groups, "heads": heads, "padded": False}
                return LinearStep(rows=rows, linear=node, **common) if rows else None
            case _:
                rows = self._rows(node.inputs[0])
                return LinearStep(rows=rows, linear=node, **common) if rows else None

    def _placed(self, step: LinearStep, node: Node, users: Sequence[Node]) -> LinearStep:
        """The step with the memory that its reader wants, or that its range asks for."""
        places = {product_place(node, user, self.graph) for user in users}
        place = places.pop() if len(places) == 1 else None  # an identity serves several transposes
        if place is not None:
            return dataclasses.replace(step, target=place.target, heads=place.heads, padded=place.padded)
        low, high = node.type.integer_range
        target = Target.FEATURES if low >= -128 and high <= 127 else Target.RESIDUAL
        return dataclasses.replace(step, target=target)

    def _add(self, step: LinearStep, node: Node, user: Node) -> LinearStep | None:
        self.covered.add(user.name)
        constant = user if isinstance(user.op, IntegerAddConstant) else None
        others = [name for name in user.inputs if name != node.name]
        if constant is None and len(others) != 1:
            self._refuse(user, "both sides of the addition are the same tensor")
            return None
        addend, first = (None, 0) if constant else self._selected(others[0])
        return dataclasses.replace(
            step,
            drain=Drain.ADD,
            target=Target.OUTPUT if user.name in self.graph.outputs else Target.RESIDUAL,
            result=user.name,
            constant=constant,
            addend=addend,
            addend_first=first,
        )

    def _selected(self, name: str) -> tuple[str, int]:
        """The tensor in memory of which `name` has some rows, and the first of them."""
        first, node = 0, self.nodes.get(name)
        while node is not None and isinstance(node.op, Select):
            self.covered.add(node.name)
            first, name = first + node.op.start, node.inputs[0]
            node = self.nodes.get(name)
        return name, first

    def _is_addend(self, node: Node, user: Node) -> bool:
        """Whether `node` is the first of two products that are added up: it is stored, not added.

        It is added where the other one has other readers too, for whom it is stored.
        """
        others = [self.nodes.get(name) for name in user.inputs if name != node.name]
        added = any(
            other
            and isinstance(other.op, IntegerLinear | IntegerMatmul)
            and len(self.graph.users(other.name)) == 1
            and other.name not in self.graph.outputs
            for other in others
        )
        return added and user.inputs[0] == node.name

    def _attention(self, node: Node) -> AttentionStep | None:
        exp = self.nodes.get(node.inputs[0])
        scores = self.nodes.get(exp.inputs[0]) if exp is not None and isinstance(exp.op, IntegerExp) else None
        if exp is None or scores is None or not isinstance(scores.op, IntegerScores | IntegerMixedScores):
            self._refuse(node, "its softmax must come from exp of scores")
            return None
        self.covered |= {node.name, exp.name, scores.name}
        return AttentionStep(scores=scores, exp=exp, context=node, tasks=self.tasks(node.name))


def _expert_up(rows: Rows, linear: Node, table: Node, common: dict[str, Any]) -> LinearStep:
    """One expert's first layer, with the table behind it."""
    return LinearStep(
        rows=rows,
        linear=linear,
        drain=Drain.ACTIVATION,
        target=Target.FEATURES,
        result=table.name,
        table=table,
        **common,
    )


def _expert_down(table: Node, linear: Node, combine: Node, common: dict[str, Any]) -> LinearStep:
    """One expert's second layer, whose weighted results DRAIN adds to the residual stream."""
    return LinearStep(
        rows=Rows(load=Load.ROWS, tensor=table.name),
        linear=linear,
        drain=Drain.COMBINE,
        target=Target.RESIDUAL,
        result=combine.name,
        addend=combine.inputs[0],
        combine=combine,
        **common,
    )


def _expert_layer(layer: Node, expert: int, tokens: int) -> Node:
    """One expert's linear layer, on as many rows as there are tokens."""
    op = layer.op
    if not isinstance(op, IntegerExpertLinear):
        raise UnsupportedModel(f"{layer.name}: must be a layer of experts")
    fields = {name: getattr(op, name)[expert] for name in ("weight", "bias", "multiplier", "shift")}
    linear = IntegerLinear(**fields, low=op.low, high=op.high, scale=op.scale)
    kind = dataclasses.replace(layer.type, shape=(tokens, layer.type.shape[-1]))
    return dataclasses.replace(layer, name=f"{layer.name}_{expert}", op=linear, type=kind)
