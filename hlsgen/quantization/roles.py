# SPDX-License-Identifier: Apache-2.0
"""Which kind of integer each tensor of a folded float Graph becomes, and which tensors share a scale."""

from __future__ import annotations

from hlsgen.errors import Problem, UnsupportedModel, UsageError
from hlsgen.errors.codes import Code
from hlsgen.ir import Graph, Node
from hlsgen.ops import Mean
from hlsgen.ops.kinds import FloatOp, Kind, placed
from hlsgen.ops.norm import Norm


def kinds(graph: Graph) -> dict[str, Kind]:
    """The kind of every tensor, the input included; raises `UnsupportedModel` with all problems."""
    if graph.input_type.is_integer:
        raise UsageError("graph must be a float graph, not one that is quantized already", code=Code.INTEGERS)
    demands: dict[str, dict[Kind, str]] = {
        name: {Kind.OUTPUT: "the end of the model"} for name in graph.outputs
    }
    result: dict[str, Kind] = {}
    problems: list[Problem] = []
    for node in reversed(graph.nodes):
        asked = demands.get(node.name, {})
        why = _conflict(node, asked)
        if why:
            problems.append(_problem(node, why))
        result[node.name] = kind = next(iter(asked), Kind.NARROW)
        user = f"%{node.name} ({type(node.op).__name__})"
        reads = node.op.reading(len(node.inputs)) if isinstance(node.op, FloatOp) else ()
        for name, read in zip(node.inputs, reads, strict=bool(reads)):
            demands.setdefault(name, {}).setdefault(read.kind or kind, user)
    wrong = {k: v for k, v in demands.get(graph.input, {}).items() if k is not Kind.IMAGE}
    problems += [
        Problem(f"{graph.input}: the image can only be read as patches, not by {v}") for v in wrong.values()
    ]
    problems += [problem for node in graph for problem in _pooled_problems(graph, node, result)]
    if problems:
        raise UnsupportedModel(problems, code=Code.INTEGERS)
    return {graph.input: Kind.IMAGE} | {node.name: result[node.name] for node in graph}


def _conflict(node: Node, asked: dict[Kind, str]) -> str:
    """Why `node` can't give what is asked of it, or an empty string."""
    if not isinstance(node.op, FloatOp):
        return f"{type(node.op).__name__} has no integer form"
    given, unfit = node.op.gives, node.op.unfit()
    if unfit:
        return unfit
    if len(asked) > 1:
        return "its result is needed as " + " and as ".join(f"{k.value} by {v}" for k, v in asked.items())
    for kind, user in asked.items():
        if kind is Kind.OUTPUT and kind not in given:
            return "the model must end with a linear layer or an addition"
        if kind not in given:
            return f"its result is {given[0].value}, but {user} needs {kind.value}"
    return ""


def _pooled_problems(graph: Graph, node: Node, result: dict[str, Kind]) -> list[Problem]:
    """A mean of int16 values has a scale of its own: only a layer norm can read it."""
    if not isinstance(node.op, Mean) or result[node.name] is not Kind.WIDE:
        return []
    others = [user.name for user in graph.users(node.name) if not isinstance(user.op, Norm)]
    if not others:
        return []
    return [
        _problem(
            node, f"a mean over tokens must be followed by a layer norm or linear layers, not %{others[0]}"
        )
    ]


def _problem(node: Node, why: str) -> Problem:
    return Problem(
        f"{node.name}: {type(node.op).__name__} can't be quantized here",
        where=str(node.source),
        why=why,
        fix="use the operators that `hlsgen ops` lists",
    )


def streams(graph: Graph, kind: dict[str, Kind]) -> list[tuple[str, ...]]:
    """Groups of int16 tensors that must share one scale, in graph order; results of Mean are not in any.

    An output that is a sum is in one with what it adds up: several heads, or the residual stream.
    """
    group: dict[str, list[str]] = {}
    for node in graph:
        shared = [node.inputs[index] for index in placed(node.op).shares]
        added = kind[node.name] is Kind.OUTPUT and bool(shared)
        if not (kind[node.name] is Kind.WIDE or added) or isinstance(node.op, Mean):
            continue
        merged = [node.name]
        for members in {id(group[name]): group[name] for name in shared if name in group}.values():
            merged = members + merged
        for name in merged:
            group[name] = merged
    unique = {id(members): members for members in group.values()}
    order = {node.name: i for i, node in enumerate(graph)}
    return sorted(
        (tuple(sorted(m, key=order.__getitem__)) for m in unique.values()), key=lambda m: order[m[0]]
    )
