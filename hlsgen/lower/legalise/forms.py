# SPDX-License-Identifier: Apache-2.0
"""Integer Graph -> an equal one in which every tensor is made in the forms in which it is read.

A tensor has a home, and its readers may want others; some take only what leaves the array. Where a node can't
give a form itself, a copy does: a product with an identity, or zeros to which rows of the stream are added.
Both are exact. A product that nobody reads as rows is repeated instead, which takes one command less.

What stays refused is in docs/lowering.md: no command computes it without changing an integer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from hlsgen.display.names import free_name
from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, GraphBuilder, Node, Op, live
from hlsgen.lower.legalise.reads import OUTPUT, PLAIN, ROWS, STORED, Form, Reads, Want
from hlsgen.lower.roles import Role, row_of, split, takes
from hlsgen.lower.step import Home
from hlsgen.machine.format.commands import Target
from hlsgen.ops import (
    Choose,
    Gather,
    IntegerAdd,
    IntegerAddConstant,
    IntegerCombine,
    IntegerConstant,
    IntegerGroupedLinear,
    IntegerLinear,
    IntegerMatmul,
    IntegerMean,
    IntegerTable,
    Select,
)
from hlsgen.ops.exact import identity, is_narrow
from hlsgen.ops.norm import IntegerNorm


def forms(graph: Graph) -> Graph:
    """The same tensors under the same names where others have them too; the outputs under their own.

    Raises `UnsupportedModel` with every tensor that has no exact form of the kind that a reader takes.
    """
    return _Former(graph).run()


class _Former:
    def __init__(self, graph: Graph) -> None:
        nodes = live(graph.nodes, graph.outputs)
        self.graph = graph if len(nodes) == len(graph.nodes) else replace(graph, nodes=nodes)
        self.reads = Reads(self.graph)
        self.nodes = self.reads.nodes
        self.builder = GraphBuilder(graph.input, graph.input_type)
        self.wants: dict[str, dict[Want, None]] = defaultdict(dict)
        self.own: dict[str, list[Want]] = {}
        self.made: dict[tuple[str, Want], str] = {}
        self.problems: dict[str, Problem] = {}

    def run(self) -> Graph:
        for name in self.graph.outputs:
            self.wants[name][OUTPUT] = None
        for node in reversed(self.graph.nodes):
            self.own[node.name] = self._own(node)
            for own in self.own[node.name]:
                for name, want in zip(node.inputs, self.reads.of(node, own), strict=True):
                    self.wants[name][want] = None
        if self._fits() and not self.problems:
            return self.graph
        for node in self.graph.nodes:
            for own in self.own[node.name]:
                inputs = [
                    self._give(*read) for read in zip(node.inputs, self.reads.of(node, own), strict=True)
                ]
                name = self.builder.add(self._name(node, own), node.op, inputs, node.source)
                self.made[node.name, own] = name
        outputs = [self._give(name, OUTPUT) for name in self.graph.outputs]
        if self.problems:
            raise UnsupportedModel(list(self.problems.values()), code=Code.LOWERING)
        return self.builder.finish(*outputs, names=self.graph.names, views=self.graph.views)

    def _fits(self) -> bool:
        """Whether every node has the one form that all of its readers take."""
        alone = all(len(own) == 1 for own in self.own.values())
        return alone and all(
            self._served(node, want) for node in self.graph for want in self.wants[node.name]
        )

    def _name(self, node: Node, own: Want) -> str:
        """An output keeps its name, though a copy of the node's tensor is what leaves."""
        if node.name in self.graph.outputs and own != OUTPUT:
            return self._unused(f"{node.name}_inner")
        return node.name if own == self.own[node.name][0] else self._unused(f"{node.name}_again")

    def _unused(self, name: str) -> str:
        return free_name(name, self.nodes)

    # -- what a node makes itself ------------------------------------------------------------------------

    def _own(self, node: Node) -> list[Want]:
        """The forms in which a node stands in the new graph."""
        wants = list(self.wants[node.name])
        match row_of(node.op).role:
            case Role.PRODUCT | Role.PAIR | Role.DRAIN:
                return self._stored_own(node, wants)
            case Role.SCORES:
                return [want for want in wants if want.form is Form.INSIDE] or [PLAIN]
            case Role.EXPERTS:
                if isinstance(node.op, Choose):
                    return [want for want in wants if want.form is Form.ROUTER] or [PLAIN]
                return [STORED if isinstance(node.op, IntegerCombine) else PLAIN]
            case _:
                return self._loaded_own(node, wants)

    def _loaded_own(self, node: Node, wants: list[Want]) -> list[Want]:
        """Of what LOAD makes or finds, in the command that reads it."""
        match node.op:
            case IntegerNorm(heads=heads):
                return [Want(Form.PARTED)] if heads > 1 else [ROWS]
            case IntegerMean(low=low, high=high):
                if is_narrow(node.type):
                    return [ROWS]
                if (low, high) != (-(1 << 15), (1 << 15) - 1):
                    self._problem(node, f"LOAD saturates a mean to 16 bits, not to {low}..{high}")
                return [Want(Form.NORMED)]
            case Select() if is_narrow(node.type):
                kinds = list(dict.fromkeys(want.form in (Form.STORED, Form.NORMED) for want in wants))
                return [STORED if stored else ROWS for stored in sorted(kinds)]
            case Select():
                return [STORED]
            case Gather():
                return self._gathered_own(node, wants)
            case _:
                return [PLAIN]

    def _gathered_own(self, node: Node, wants: list[Want]) -> list[Want]:
        """Of rows in another order: a norm reads them in the residual memory, a product elsewhere."""
        normed = any(want.form is Form.NORMED for want in wants)
        rows = is_narrow(node.type) and any(want.form is not Form.NORMED for want in wants)
        return [*([ROWS] if rows else []), *([STORED] if normed or not rows else [])]

    def _stored_own(self, node: Node, wants: list[Want]) -> list[Want]:
        """Of what commands make: the forms asked for that it has, or one that copies are made of."""
        if isinstance(node.op, IntegerAdd) and self.reads.drained_side(node) is None:
            self._problem(node, "of two sums of 16 bits none leaves the array: one side must be a product")
        stays = any(not isinstance(want.drain, IntegerTable) for want in wants)
        if isinstance(node.op, IntegerMatmul) and split(node.op) > 1 and not is_narrow(node.type) and stays:
            self._problem(node, "a product by head has 8 bits")
        kinds = list(dict.fromkeys(want.stored for want in wants))
        given = [want for want in kinds if self._has(node, want)]
        if len(kinds) == len(given) == 1:
            return given
        if not is_narrow(node.type):
            # What leaves is a copy of what stays.
            given = [want for want in given if want != OUTPUT or STORED not in given]
            return given or [STORED]
        rows = [want for want in given if want.is_rows]
        if rows or len(given) < len(kinds) or not isinstance(node.op, IntegerLinear | IntegerConstant):
            return [next((want for want in rows if want.home), ROWS)]
        return given

    def _has(self, node: Node, want: Want) -> bool:
        """Whether a command has a node's result in a form."""
        narrow, home = is_narrow(node.type), want.home
        if want.drain:
            return takes(node.op, want.drain)
        match node.op:
            case IntegerLinear() | IntegerGroupedLinear(groups=1):
                return narrow or not want.is_rows
            case IntegerConstant():
                return want == STORED or (narrow and want.is_rows)
            case IntegerGroupedLinear(groups=groups):
                own = home is not None and home.heads == groups and home.target is not Target.RESIDUAL
                return narrow and (want == ROWS or own)
            case IntegerMatmul(stacked=False):
                return self._product_has(node, want)
            case IntegerAdd() | IntegerAddConstant():
                return want in (STORED, OUTPUT)
            case _:
                return want in (ROWS, PLAIN)

    def _product_has(self, node: Node, want: Want) -> bool:
        """Of a product of two tensors: heads stay apart, which only some of its readers want."""
        if want == ROWS:
            return is_narrow(node.type)
        if want.home:
            maps = Home(Target.FEATURES, split(node.op), padded=False)
            return split(node.op) > 1 and want.home == maps
        return split(node.op) == 1 and want in (STORED, OUTPUT)

    # -- what is made of it ------------------------------------------------------------------------------

    def _give(self, name: str, want: Want) -> str:
        """The tensor `name` in the form that is wanted; made once."""
        node = self.nodes.get(name)
        if node is None:
            return name  # the image
        if (name, want) not in self.made:
            own = self._served(node, want)
            self.made[name, want] = self.made[name, own] if own else self._copied(node, want)
        return self.made[name, want]

    def _served(self, node: Node, want: Want) -> Want | None:
        """The node's own form that a reader takes for the one it wants."""
        for own in self.own[node.name]:
            if isinstance(node.op, Gather) and own == STORED:
                if want.form is Form.NORMED:
                    return own
                continue
            whole = want.form is Form.WHOLE and not isinstance(node.op, Select)
            served = (
                own == want
                or (want == PLAIN and own == ROWS)
                or (want == ROWS and own.is_rows)
                or (own == STORED and (want.form is Form.NORMED or whole))
            )
            if served:
                return own
        return None

    def _copied(self, node: Node, want: Want) -> str:
        """A copy, which has whatever form is wanted."""
        own = self.own[node.name][0]
        inside = row_of(node.op).role in (Role.SCORES, Role.EXPERTS) and own != STORED
        if inside or want.form in (Form.INSIDE, Form.PLAIN):
            return self._refuse(node, want, "it is a part of other commands")
        if not is_narrow(node.type):
            return self._copied_wide(node, want)
        apart = own.form is Form.PARTED
        source = self._give(node.name, ROWS) if apart and want != ROWS else self.made[node.name, own]
        op = identity(node.type, split(node.op) if apart and want == ROWS else 1)
        return self._add(node, want, op, [source])

    def _copied_wide(self, node: Node, want: Want) -> str:
        """int16 rows once more: zeros, to which they are added."""
        source = self.made.get((node.name, STORED))
        if source is None or isinstance(node.op, Gather) or want.stored not in (STORED, OUTPUT):
            return self._refuse(node, want, "it has 16 bits")
        kind = self.builder.type_of(source)
        op = IntegerConstant(value=np.zeros(kind.shape, np.int64), low=0, high=0, scale=kind.scale or 1.0)
        zeros = self.builder.add(self._unused(f"{node.name}_zeros"), op, [self.builder.input], node.source)
        return self._add(node, want, IntegerAdd(), [source, zeros])

    def _add(self, node: Node, want: Want, op: Op, inputs: list[str]) -> str:
        name = node.name if want == OUTPUT else self._unused(f"{node.name}_copy")
        return self.builder.add(name, op, inputs, node.source)

    def _refuse(self, node: Node, want: Want, why: str) -> str:
        self._problem(node, why, f" read as {want.form.value}")
        return self.made[node.name, self.own[node.name][0]]

    def _problem(self, node: Node, why: str, how: str = "") -> None:
        self.problems.setdefault(
            node.name,
            Problem(
                f"{node.name}: {type(node.op).__name__}{how} can't be lowered",
                where=str(node.source),
                why=why,
                fix="see docs/lowering.md for what an integer graph must be",
            ),
        )
