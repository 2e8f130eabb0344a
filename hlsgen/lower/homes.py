# SPDX-License-Identifier: Apache-2.0
"""Steps -> the same steps with homes: where each result lies, as its readers want it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hlsgen.ir import Graph
from hlsgen.lower.step import AttentionStep, Home, LinearStep, Rows, Step
from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.ops import IntegerConstant, IntegerMixedScores, IntegerScores

ROWS, STREAM = Home(Target.FEATURES), Home(Target.RESIDUAL)
"""Operand rows, which a product with weights reads however they lie; rows of the residual stream."""


def homes(steps: list[Step], graph: Graph) -> list[Step]:
    """Give every result the home that all of its readers can read; `verify` says where there is none."""
    wanted: dict[str, set[Home]] = {}
    for step in steps:
        for name, home in wants(step):
            wanted.setdefault(name, set()).add(home)
    return [
        dataclasses.replace(step, home=_home(step, graph, wanted.get(step.result, set())))
        if isinstance(step, LinearStep)
        else step
        for step in steps
    ]


def wants(step: Step) -> Iterator[tuple[str, Home]]:
    """The tensors that a step reads from a memory, and the home that it wants of each."""
    if isinstance(step, AttentionStep):
        yield from _attention_wants(step)
        return
    rows, factors = step.rows, step.factors
    if rows.region and rows.load is not Load.PATCHES:
        yield rows.tensor, _rows_home(rows, step)
    if step.addend:
        yield step.addend, STREAM
    if factors:
        memory = Target.KEYS if factors.keys else Target.VALUES
        yield factors.tensor, Home(memory, factors.heads, padded=factors.keys)


def _rows_home(rows: Rows, step: LinearStep) -> Home:
    """Where a product's operand rows come from."""
    if step.factors:
        return Home(Target.FEATURES, step.factors.left_heads)
    if rows.load is not Load.ROWS:
        heads = getattr(rows.norm.op, "heads", 1) if rows.norm else 1
        return Home(Target.RESIDUAL, heads, padded=False) if heads > 1 else STREAM
    return Home(Target.FEATURES, step.groups) if step.groups > 1 else ROWS


def _attention_wants(step: AttentionStep) -> Iterator[tuple[str, Home]]:
    """Queries and keys by head, or maps side by side; values, whose heads may serve several."""
    heads = step.scores.type.shape[0]
    match step.scores.op:
        case IntegerScores():
            yield step.scores.inputs[0], Home(Target.FEATURES, heads)
            yield step.scores.inputs[1], Home(Target.KEYS, heads)
        case IntegerMixedScores(weight=weight):
            yield step.scores.inputs[0], Home(Target.FEATURES, weight.shape[1], padded=False)
    yield step.values, Home(Target.VALUES, heads // (step.shared + 1))


def accepts(want: Home, home: Home) -> bool:
    """Whether a reader that wants one home can read from the other."""
    return want == home or (want == ROWS and home.target is Target.FEATURES)


def native(step: LinearStep, graph: Graph) -> Home:
    """Where a result lies that nobody wants elsewhere: in the memory of its width, parts apart."""
    low, high = graph.type_of(step.result).integer_range
    parts = 1 if step.stacked else step.parts
    memory = Target.FEATURES if low >= -128 and high <= 127 else Target.RESIDUAL
    return Home(memory, parts, padded=False) if parts > 1 else Home(memory)


def _home(step: LinearStep, graph: Graph, wanted: set[Home]) -> Home:
    """The one that all accept, where the step's DRAIN can write it."""
    if step.route and not step.expert:
        return Home(Target.QUEUES)
    if step.result in graph.outputs:
        return Home(Target.OUTPUT)
    constant = isinstance(graph.node(step.result).op, IntegerConstant)
    if step.drain is not Drain.REQUANTIZE and not constant:
        return native(step, graph)
    fitting = [home for home in wanted if all(accepts(want, home) for want in wanted)]
    best = next((home for home in fitting if home != ROWS), None)
    return best or (native(step, graph) if ROWS in wanted or not wanted else next(iter(wanted)))
