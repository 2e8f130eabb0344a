# SPDX-License-Identifier: Apache-2.0
"""Commands that compute nothing of the model: what they move, and for which op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hlsgen.ir import Graph, Node
from hlsgen.lower.order import sources
from hlsgen.lower.shape import is_diagonal
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.program import Move
from hlsgen.ops import IntegerCast, IntegerConstant, IntegerGroupedLinear, IntegerLinear


def moves(steps: Sequence[Step], numbers: Sequence[int], graph: Graph, source: Graph) -> tuple[Move, ...]:
    """The moves among a program's steps; `source`: the Graph that was lowered to them.

    numbers: of each step's first command.

    These are identities, those of the quantizer as well: copies, casts, transposes, and norms, means, tables
    and additions that go with no product. What `source` does not have was made once more, or is a constant of
    another move.
    """
    own = {node.name for node in source}
    found = []
    for number, step in zip(numbers, steps, strict=True):
        kind = _kind(step, graph, own) if isinstance(step, LinearStep) and not step.route else ""
        if kind:
            moved = next((name for name in sources(step) if name and not _is_identity(name, graph)), "")
            readers = dict.fromkeys(each.result for each in steps if step.result in sources(each))
            found.append(
                Move(
                    command=number, kind=kind, tensor=step.result, moved=moved,
                    reader=",".join(readers) or "output",
                )
            )  # fmt: skip
    return tuple(found)


def _kind(step: Step, graph: Graph, own: set[str]) -> str:
    """What a step does besides a product with an identity; '': it has a product of the model."""
    if not isinstance(step, LinearStep):
        return ""
    made = graph.node(step.result).op
    if isinstance(made, IntegerConstant):
        return "" if step.result in own else "constant"
    if step.factors:
        moved = _is_identity(step.rows.tensor, graph)
        return "transpose" if moved else "" if step.result in own else "repeat"
    if not _is_copy(step.linear):
        return "" if {node.name for node in step.nodes} & own else "repeat"
    norm = step.rows.norm.op if step.rows.norm else None
    load = "cast" if isinstance(norm, IntegerCast) else "norm" if norm else "mean" if step.rows.pool else ""
    load = "gather" if step.rows.gather and not load else load
    zeros = isinstance(graph.node(step.nodes[0].name).op, IntegerConstant)
    drain = "table" if step.table else "addition" if not zeros and (step.addend or step.constant) else ""
    return "+".join(filter(None, (load, drain))) or "copy"


def _is_copy(node: Node) -> bool:
    """Whether a layer has one weight for each result, its own input's, or none."""
    match node.op:
        case IntegerLinear(weight=weight):
            return not weight.any() or is_diagonal(weight)
        case IntegerGroupedLinear(groups=groups, weight=weight):
            parts = np.split(weight, groups)
            return all(map(is_diagonal, parts))
        case _:
            return False


def _is_identity(name: str, graph: Graph) -> bool:
    """Whether a tensor is a constant of rows that each select one element, perhaps behind rows of zeros."""
    node = graph.node(name) if name and name != graph.input else None
    match node.op if node else None:
        case IntegerConstant(value=value):
            count = value.shape[1]
            return np.array_equal(value[-count:], np.eye(count)) and not value[:-count].any()
        case _:
            return False
