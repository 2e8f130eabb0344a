"""Graph -> steps: which nodes one command executes together, in program order."""

from __future__ import annotations

from dataclasses import dataclass

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.ir import Graph, Node
from hlsgen.machine.commands import Drain, Load, Target
from hlsgen.ops import (
    IntegerAdd,
    IntegerAddConstant,
    IntegerContext,
    IntegerExp,
    IntegerLayerNorm,
    IntegerLinear,
    IntegerMean,
    IntegerScores,
    IntegerTable,
    Patches,
    Select,
)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows LOAD reads: `tensor` from row `first` on, and the nodes that transform them on the way."""

    load: Load
    tensor: str
    first: int = 0
    norm: Node | None = None
    pool: Node | None = None
    patches: Node | None = None

    @property
    def operand(self) -> str | None:
        """The graph tensor that the tile holds, when it is none of the memory's."""
        node = self.norm or self.patches
        return node.name if node else None


@dataclass(frozen=True, kw_only=True)
class LinearStep:
    """A weight command: rows, one linear node and what DRAIN does with its result."""

    rows: Rows
    linear: Node
    drain: Drain
    target: Target
    result: str
    table: Node | None = None
    addend: str | None = None
    constant: Node | None = None
    heads: int = 0
    """The result's columns are split into this many padded heads; 0: they are not."""


@dataclass(frozen=True, kw_only=True)
class AttentionStep:
    """An attention command: scores, exp and context."""

    scores: Node
    exp: Node
    context: Node

    @property
    def result(self) -> str:
        return self.context.name


Step = LinearStep | AttentionStep


class Matcher:
    """Matches an integer Graph to steps; collects every problem before it raises."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}
        self.problems: list[Problem] = []
        self.covered: set[str] = set()

    def steps(self) -> list[Step]:
        """The steps in program order; raises `UnsupportedModel` with all problems."""
        result: list[Step] = []
        for node in self.graph:
            if isinstance(node.op, IntegerLinear):
                step = self._linear(node)
                if step:
                    result.append(step)
            elif isinstance(node.op, IntegerContext):
                step = self._attention(node)
                if step:
                    result.append(step)
        for node in self.graph:
            if node.name not in self.covered:
                self._refuse(node, "no command executes this node in this place")
        if self.problems:
            raise UnsupportedModel(self.problems)
        return _queries_last(result)

    def _refuse(self, node: Node, why: str) -> None:
        if not any(problem.what.startswith(f"{node.name}:") for problem in self.problems):
            self.problems.append(
                Problem(
                    f"{node.name}: {type(node.op).__name__} can't be lowered",
                    where=str(node.source),
                    why=why,
                    fix="use pre-norm transformer blocks: see `hlsgen ops` for what each op may follow",
                )
            )

    def _rows(self, name: str) -> Rows | None:
        """How the machine makes the operand rows `name`."""
        node = self.nodes.get(name)
        if node is not None and isinstance(node.op, Patches):
            self.covered.add(name)
            return Rows(load=Load.PATCHES, tensor=node.inputs[0], patches=node)
        norm = pool = None
        if node is not None and isinstance(node.op, IntegerLayerNorm):
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

    def _linear(self, node: Node) -> LinearStep | None:
        rows = self._rows(node.inputs[0])
        users = self.graph.users(node.name)
        if rows is None or not (users or node.name == self.graph.output):
            self._refuse(node, "its input is not made by a command")
            return None
        self.covered.add(node.name)
        if len(users) == 1 and node.name != self.graph.output:
            user = users[0]
            if isinstance(user.op, IntegerTable):
                self.covered.add(user.name)
                return LinearStep(
                    rows=rows,
                    linear=node,
                    drain=Drain.ACTIVATION,
                    target=Target.FEATURES,
                    result=user.name,
                    table=user,
                )
            if isinstance(user.op, IntegerAdd | IntegerAddConstant) and not self._is_addend(node, user):
                return self._add(rows, node, user)
            if isinstance(user.op, IntegerScores):
                target = Target.FEATURES if user.inputs[0] == node.name else Target.KEYS
                return self._headed(rows, node, target, user.op.heads)
            if isinstance(user.op, IntegerContext):
                return self._headed(rows, node, Target.VALUES, self.graph.type_of(user.inputs[0]).shape[0])
        if node.name == self.graph.output:
            return LinearStep(
                rows=rows, linear=node, drain=Drain.REQUANTIZE, target=Target.OUTPUT, result=node.name
            )
        low, high = node.type.integer_range
        target = Target.FEATURES if low >= -128 and high <= 127 else Target.RESIDUAL
        return LinearStep(rows=rows, linear=node, drain=Drain.REQUANTIZE, target=target, result=node.name)

    def _add(self, rows: Rows, node: Node, user: Node) -> LinearStep | None:
        self.covered.add(user.name)
        constant = user if isinstance(user.op, IntegerAddConstant) else None
        others = [name for name in user.inputs if name != node.name]
        if constant is None and len(others) != 1:
            self._refuse(user, "both sides of the addition are the same tensor")
            return None
        return LinearStep(
            rows=rows,
            linear=node,
            drain=Drain.ADD,
            target=Target.OUTPUT if user.name == self.graph.output else Target.RESIDUAL,
            result=user.name,
            constant=constant,
            addend=None if constant else others[0],
        )

    def _is_addend(self, node: Node, user: Node) -> bool:
        """Whether `node` is the first of two linear layers that are added up: it is stored, not added."""
        others = [self.nodes.get(name) for name in user.inputs if name != node.name]
        linears = [other for other in others if other is not None and isinstance(other.op, IntegerLinear)]
        return bool(linears) and user.inputs[0] == node.name

    def _headed(self, rows: Rows, node: Node, target: Target, heads: int) -> LinearStep:
        return LinearStep(
            rows=rows, linear=node, drain=Drain.REQUANTIZE, target=target, result=node.name, heads=heads
        )

    def _attention(self, node: Node) -> AttentionStep | None:
        exp = self.nodes.get(node.inputs[0])
        scores = self.nodes.get(exp.inputs[0]) if exp is not None and isinstance(exp.op, IntegerExp) else None
        if exp is None or scores is None or not isinstance(scores.op, IntegerScores):
            self._refuse(node, "its softmax must come from exp of scores")
            return None
        self.covered |= {node.name, exp.name, scores.name}
        return AttentionStep(scores=scores, exp=exp, context=node)


def _queries_last(steps: list[Step]) -> list[Step]:
    """Move each query projection right before its attention, behind keys and values.

    Attention starts with a tile of queries but needs all keys, so the queries should drain last.
    """
    result = list(steps)
    for step in steps:
        if isinstance(step, AttentionStep):
            query = next(s for s in result if s.result == step.scores.inputs[0])
            result.remove(query)
            result.insert(result.index(step), query)
    return result
