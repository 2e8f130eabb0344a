# SPDX-License-Identifier: Apache-2.0
"""The forms in which integer ops read their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hlsgen.ir import Graph, Node, Op
from hlsgen.lower.operands import operand_home
from hlsgen.lower.roles import along, drained_side, row_of, takes
from hlsgen.lower.step import Home
from hlsgen.machine.format.commands import Target
from hlsgen.ops import (
    Choose,
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerExpertLinear,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMean,
    IntegerRoute,
    IntegerTable,
    Patches,
    Select,
)
from hlsgen.ops.exact import is_narrow
from hlsgen.ops.norm import IntegerNorm


class Form(Enum):
    """How a reader takes a tensor."""

    PLAIN = "it is"
    ROWS = "operand rows of 8 bits"
    STORED = "rows of the residual memory"
    WHOLE = "the whole of a tensor in the residual memory"
    NORMED = "rows of the residual memory, or their mean"
    PARTED = "parts that are normalised one by one"
    PLACED = "heads apart"
    DRAINED = "a product's result on its way out"
    OUTPUT = "an output"
    ROUTER = "router logits"
    INSIDE = "a part of one command"


@dataclass(frozen=True)
class Want:
    """A form of a tensor. home: where it must lie. reader: the one that has it for itself."""

    form: Form
    home: Home | None = None
    reader: tuple[str, int, object] | None = None
    drain: Op | None = None
    """What a product's results go through on their way out."""

    @property
    def stored(self) -> Want:
        """The form of what a command makes that serves the want."""
        return STORED if self.form in (Form.WHOLE, Form.NORMED) else self

    @property
    def is_rows(self) -> bool:
        """Whether it lies in the feature memory, where a product with weights reads it."""
        return self == ROWS or (self.home is not None and self.home.target is Target.FEATURES)


ROWS, STORED, OUTPUT, PLAIN = (Want(form) for form in (Form.ROWS, Form.STORED, Form.OUTPUT, Form.PLAIN))


class Reads:
    """How the nodes of a graph read."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph}

    def of(self, node: Node, own: Want) -> list[Want]:
        """How a node, in one of its own forms, reads its inputs."""
        return [self._read(node, index, own) for index in range(len(node.inputs))]

    def _read(self, node: Node, index: int, own: Want) -> Want:
        source = self.nodes.get(node.inputs[index])
        home = operand_home(node, index, self.graph)
        reader = (node.name, index, own)
        parted = source is not None and isinstance(source.op, IntegerNorm) and along(node.op, source.op)
        if home and not parted:
            apart = home.target in (Target.KEYS, Target.VALUES)
            return Want(Form.PLACED, home, reader if apart else None)
        match node.op:
            case IntegerAdd():
                drained = self.drained_side(node) == index
                return Want(Form.DRAINED, reader=reader, drain=node.op) if drained else STORED
            case IntegerTable() | IntegerAddConstant():
                inner = source is not None and isinstance(source.op, IntegerExpertLinear)
                return PLAIN if inner else Want(Form.DRAINED, reader=reader, drain=node.op)
            case IntegerCombine():
                return PLAIN if index else Want(Form.WHOLE)
            case IntegerRoute():
                return Want(Form.ROUTER, reader=reader)
            case Choose() | Select() | Gather():
                return own
            case _:
                return self._plain_read(node, source, reader)

    def _plain_read(self, node: Node, source: Node | None, reader: tuple[str, int, object]) -> Want:
        """Of ops that read rows as they lie."""
        match node.op:
            case IntegerGroupedLinear(groups=groups) if groups > 1:
                return Want(Form.PARTED)
            case IntegerLinear() | IntegerGroupedLinear():
                patches = isinstance(source.op, Patches) if source else False
                return PLAIN if patches and not self._is_router(node) else ROWS
            case IntegerMean():
                return STORED
            case IntegerNorm():
                users = self.graph.users(node.name)
                gathered = any(isinstance(user.op, IntegerExpertLinear) for user in users)
                return STORED if gathered else Want(Form.NORMED)
            case IntegerExpertLinear():
                return PLAIN
            case _:
                scores = bool(row_of(node.op).over)  # exp of scores, and a context of exp
                return Want(Form.INSIDE, reader=reader) if scores else PLAIN

    def _is_router(self, node: Node) -> bool:
        """Whether a routing reads the logits; queues say where rows in a memory begin."""
        users = self.graph.users(node.name)
        return any(isinstance(user.op, IntegerRoute | Choose) for user in users)

    def drained_side(self, add: Node) -> int | None:
        """The side of an addition that is added as it leaves the array, or that a copy can make so."""
        side = drained_side(add, self.graph)
        if side is not None:
            return side
        sides = range(len(add.inputs))[::-1]
        kinds = [self.graph.type_of(name) for name in add.inputs]
        narrow = [side for side in sides if is_narrow(kinds[side])]
        ops = [self.nodes[name].op if name in self.nodes else None for name in add.inputs]
        again = [side for side in sides if (op := ops[side]) and takes(op, add.op)]
        return next(iter([*narrow, *again]), None)
