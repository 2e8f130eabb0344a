# SPDX-License-Identifier: Apache-2.0
"""Float Graph -> an equal one in which every tensor is read only in forms that the machine can make.

A command is one product: what it reads on the way in and does on the way out costs nothing. A tensor has
these forms for its readers:

- rows: what LOAD gives to a linear layer;
- stored: int16 values in the residual memory, for means and additions; for norms these, or a mean of them;
- fused: a linear layer of its own, for what DRAIN or attention does with a command's result;
- left, factor: the two sides of a product, int8, their heads apart; a factor lies in key or value memory.

Where a node does not give a form, `legalise` adds one that does, and a linear layer that is asked for several
is repeated. What it adds are `Cast`, `Mean` and linear layers with an identity's weights. Each of these is
a command; the report has its time under its name.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.ir import Graph, GraphBuilder, Node, Op, live
from hlsgen.ops import (
    Activation,
    Add,
    AddConstant,
    Cast,
    Combine,
    Constant,
    Context,
    ExpertLinear,
    Gather,
    GroupedLinear,
    Linear,
    Matmul,
    Mean,
    MixedScores,
    Patches,
    Scores,
    Select,
    Transpose,
)
from hlsgen.ops.factors import is_factor, is_left
from hlsgen.ops.norm import Norm


class Form(Enum):
    """How a reader takes a tensor."""

    PLAIN = auto()
    """As it is: the image, routings, logits, weights of a softmax, what experts do."""
    ROWS = auto()
    """What LOAD gives to a linear layer."""
    STORED = auto()
    """int16 in the residual memory, or a selection of it."""
    NORMED = auto()
    """Stored, or the mean of what is stored; experts gather rows of what is stored."""
    ADDEND = auto()
    """int16 in the residual memory, and no selection: what experts add to."""
    FUSED = auto()
    """A command's result before DRAIN or the output takes it."""
    LEFT = auto()
    """Operand rows of a product: in the feature memory, heads apart."""
    PARTS = auto()
    """Stored, heads apart: what a norm by head reads."""
    NORMALISED = auto()
    """What a norm by head gives to a grouped linear layer."""
    FACTOR = auto()
    """What a product multiplies by: in the key or the value memory, heads apart."""


@dataclass(frozen=True)
class Demand:
    """A form of a tensor; what belongs to one reader's input names it; the output has none."""

    form: Form
    reader: tuple[str, Demand, int] | None = None


OWN = (Form.FUSED, Form.LEFT, Form.PARTS, Form.FACTOR)
"""Forms that each reader has for itself."""
ROWS, STORED, NORMED, ADDEND = map(Demand, (Form.ROWS, Form.STORED, Form.NORMED, Form.ADDEND))
OUTPUT = Demand(Form.FUSED)
NORMALISED = Demand(Form.NORMALISED)


def legalise(graph: Graph) -> Graph:
    """An equal float Graph, with the names of the given one and without dead nodes."""
    return _Legaliser(_norms_behind(graph)).run()


def _norms_behind(graph: Graph) -> Graph:
    """The graph with norms behind gathers of theirs, where layers read those: LOAD does both for a layer.

    A norm makes its beta of a row of zeros, so those stay behind it.
    """
    nodes = {node.name: node for node in graph}

    def swaps(node: Node) -> bool:
        source = nodes.get(node.inputs[0])
        if not isinstance(node.op, Gather) or not source or not isinstance(source.op, Norm):
            return False
        plain = node.op.places.shape[1] == 1 and node.op.places.min() >= 0 and source.op.heads == 1
        readers = graph.users(node.name)
        return plain and all(isinstance(user.op, Linear) for user in readers) and bool(readers)

    if not any(map(swaps, graph)):
        return graph
    builder = GraphBuilder(graph.input, graph.input_type)
    for node in graph:
        if swaps(node):
            source, name = nodes[node.inputs[0]], free_name(f"{node.name}_rows", nodes)
            rows = builder.add(name, node.op, source.inputs, node.source)
            builder.add(node.name, source.op, [rows], node.source)
        else:
            builder.add(node.name, node.op, node.inputs, node.source)
    return builder.finish(*graph.outputs, names=graph.names, views=graph.views)


def identity(width: int) -> Linear:
    """The linear layer that changes nothing."""
    return Linear(weight=np.eye(width), bias=np.zeros(width))


def grouped_identity(groups: int, width: int) -> GroupedLinear:
    """The grouped linear layer that changes nothing."""
    weight = np.tile(np.eye(width // groups), (groups, 1))
    return GroupedLinear(groups=groups, weight=weight, bias=np.zeros(width))


class _Legaliser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.name: _plain(node) for node in graph}
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.demands: dict[str, dict[Demand, None]] = defaultdict(dict)
        self.made: dict[tuple[str, Demand], str] = {}

    def run(self) -> Graph:
        nodes = live(tuple(self.nodes.values()), self.graph.outputs)
        for name in self.graph.outputs:
            self.demands[name][OUTPUT] = None
        for node in reversed(nodes):
            for own in self._own(node):
                for name, demand in zip(node.inputs, self._reads(node, own), strict=True):
                    self.demands[name][demand] = None
        for node in nodes:
            for own in self._own(node):
                inputs = [self._give(*read) for read in zip(node.inputs, self._reads(node, own), strict=True)]
                self.made[node.name, own] = self.builder.add(node.name, node.op, inputs, node.source)
        outputs = [self._give(name, OUTPUT) for name in self.graph.outputs]
        return self.builder.finish(*outputs, names=self.graph.names)

    def _reads(self, node: Node, own: Demand) -> list[Demand]:
        """How the node, in one of its own forms, reads its inputs."""
        match node.op:
            case Linear():
                forms = [Form.PLAIN if isinstance(self._op(node.inputs[0]), Patches) else Form.ROWS]
            case Norm(heads=1):
                gathered = any(isinstance(user.op, ExpertLinear) for user in self.graph.users(node.name))
                forms = [Form.STORED if gathered else Form.NORMED]
            case Norm():
                forms = [Form.PARTS]
            case GroupedLinear(groups=groups) if self._is_norm(node.inputs[0], groups):
                forms = [Form.NORMALISED]
            case Mean() | Cast():
                forms = [Form.STORED]
            case Activation() | AddConstant():
                forms = [Form.FUSED]
            case Add():
                # The later of two linear layers is added as it leaves the machine; the other one is stored.
                linear = [_is_linear(self._op(name)) for name in node.inputs]
                forms = [Form.STORED, Form.FUSED]
                forms = forms[::-1] if linear == [True, False] else forms
            case Combine():
                forms = [Form.ADDEND, Form.PLAIN, Form.PLAIN]
            case Select() | Gather():
                forms = [self._moved_form(node, own)]
            case _:
                forms = [_side(node.op, index) for index in range(len(node.inputs))]
        return [
            Demand(form, (node.name, own, index) if form in OWN else None) for index, form in enumerate(forms)
        ]

    def _moved_form(self, node: Node, own: Demand) -> Form:
        """How tokens in another order are read: rows of a norm with its gamma and beta, which a copy has."""
        if own == NORMED:
            return Form.STORED
        normed = isinstance(node.op, Gather) and isinstance(self._op(node.inputs[0]), Norm)
        return Form.LEFT if normed and own == ROWS else own.form

    def _own(self, node: Node) -> list[Demand]:
        """The forms in which the node itself stands in the new graph: those asked for that it gives."""
        return list(dict.fromkeys(self._basis(node, want) for want in self.demands[node.name]))

    def _basis(self, node: Node, want: Demand) -> Demand:
        """The form of the node itself that `want` is made from."""
        if split(node.op) > 1:
            return self._split_basis(node, want)
        match node.op:
            case Linear():
                return STORED if want in (NORMED, ADDEND) else want
            case Matmul():
                kept = want.form in (Form.STORED, Form.FUSED)
                return STORED if want in (NORMED, ADDEND) else want if kept else ROWS
            case Constant():
                stored = want in (STORED, NORMED, ADDEND)
                return STORED if stored else want if want.form is Form.LEFT else ROWS
            case Mean():
                return want if want == NORMED else ROWS
            case Select() | Gather():
                return self._moved_basis(node, want)
            case Norm() | Activation() | Context() | Cast() | Transpose():
                return ROWS
            case Add() | AddConstant():
                return want if want == OUTPUT else STORED
            case Combine():
                return STORED
            case _:
                return Demand(Form.PLAIN)

    def _moved_basis(self, node: Node, want: Demand) -> Demand:
        """Rows in another order are read by norms alone where they are stored: DRAIN adds rows in order."""
        if isinstance(node.op, Gather):
            return NORMED if want == NORMED else ROWS
        stored = want in (STORED, NORMED) or not self._has_rows(node)
        return STORED if stored else ROWS

    def _split_basis(self, node: Node, want: Demand) -> Demand:
        """What is made head by head gives what a linear layer does, but no sums.

        A row's heads lie apart, each in whole words; a sum's operands lie as they are.
        """
        if isinstance(node.op, Norm):
            return NORMALISED
        reader = self._op(want.reader[0]) if want.reader else None
        direct = isinstance(node.op, GroupedLinear) or isinstance(reader, MixedScores)
        if direct and self._has_heads(want, split(node.op)):
            return want
        return want if isinstance(reader, Activation) else ROWS

    def _has_heads(self, want: Demand, heads: int) -> bool:
        """Whether a product wants its operand in so many heads."""
        if want.reader is None or want.form not in (Form.LEFT, Form.FACTOR):
            return False
        node = self.nodes[want.reader[0]]
        match node.op:
            case Scores(heads=wanted, shared=shared):
                return wanted == heads * (shared + 1 if want.form is Form.FACTOR else 1)
            case MixedScores(matrix=matrix):
                return matrix.shape[1] == heads
            case Context(shared=shared):
                return self.nodes[node.inputs[0]].type.shape[0] == heads * (shared + 1)
            case Matmul() if want.form is Form.LEFT:
                return False  # all heads may meet the same rows
            case Matmul(heads=wanted, shared=shared):
                return wanted == heads * (shared + 1)
            case Transpose() | GroupedLinear():
                return split(node.op) == heads
            case _:
                return False

    def _has_rows(self, node: Node) -> bool:
        """Whether a selection's source lies in the feature memory: its rows are read as they are."""
        while isinstance(node.op, Select):
            node = self.nodes[node.inputs[0]]
        rows = (Linear, GroupedLinear, Activation, Context, Matmul, Transpose, Constant, Gather)
        return isinstance(node.op, rows) or split(node.op) > 1

    def _is_norm(self, name: str, heads: int) -> bool:
        """Whether a tensor is a norm of so many heads."""
        op = self._op(name)
        return isinstance(op, Norm) and op.heads == heads

    def _op(self, name: str) -> Op | None:
        return self.nodes[name].op if name in self.nodes else None

    def _give(self, name: str, want: Demand) -> str:
        """The tensor `name` in the form that is wanted; made once."""
        node = self.nodes.get(name)
        if node is None:
            return name  # the image
        if (name, want) not in self.made:
            basis = self._basis(node, want)
            if basis == ROWS and want in (NORMED, ADDEND) and not isinstance(node.op, Select):
                return self._give(name, STORED)  # one copy serves all three
            self.made[name, want] = self._made_from(node, want, basis, self.made[name, basis])
        return self.made[name, want]

    def _made_from(self, node: Node, want: Demand, basis: Demand, source: str) -> str:
        """The form that is wanted, from the node itself in another form, called `source`."""
        if Form.PLAIN in (basis.form, want.form) or (basis == STORED and want in self._stored(node)):
            return source
        if (basis, want) == (STORED, ROWS):
            # The mean of one token is the token, and a machine without RMS norms has it.
            name, op = ("mean", Mean()) if node.type.shape[0] == 1 else ("cast", Cast())
            return self.builder.add(f"{node.name}_{name}", op, [source], node.source)
        if basis == NORMALISED and (want == ROWS or self._has_heads(want, split(node.op))):
            op = grouped_identity(split(node.op), node.type.shape[-1])
            return self.builder.add(f"{node.name}_affine", op, [source], node.source)
        if basis != ROWS:
            source = self._give(node.name, ROWS)
        suffix = "affine" if isinstance(node.op, Norm) else "copy"
        return self.builder.add(f"{node.name}_{suffix}", identity(node.type.shape[-1]), [source], node.source)

    def _stored(self, node: Node) -> tuple[Demand, ...]:
        """What a tensor in the residual memory serves; experts add to no selection."""
        return (NORMED,) if isinstance(node.op, Select) else (NORMED, ADDEND)


def _plain(node: Node) -> Node:
    """A grouped linear layer of one group is a linear layer."""
    match node.op:
        case GroupedLinear(groups=1, weight=weight, bias=bias):
            return replace(node, op=Linear(weight=weight, bias=bias))
        case _:
            return node


def split(op: Op) -> int:
    """Parts of a row that the op makes one by one; 1 for what makes rows as they are."""
    match op:
        case Matmul(heads=parts) | GroupedLinear(groups=parts) | Norm(heads=parts) | Transpose(heads=parts):
            return parts
        case _:
            return 1


def _side(op: Op, index: int) -> Form:
    """The side of a product that an input is."""
    return Form.LEFT if is_left(op, index) else Form.FACTOR if is_factor(op, index) else Form.PLAIN


def _is_linear(op: Op | None) -> bool:
    """Whether the op's result can be added as it leaves the machine."""
    return isinstance(op, Linear) or (isinstance(op, Matmul) and op.heads == 1)
