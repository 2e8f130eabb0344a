# SPDX-License-Identifier: Apache-2.0
"""Steps -> the same steps with homes: where each result lies, as its readers want it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hlsgen.ir import Graph
from hlsgen.lower.operands import operand_home
from hlsgen.lower.step import AttentionStep, Home, LinearStep, Step
from hlsgen.machine.format.commands import Drain, Load, Target
from hlsgen.ops import IntegerConstant

ROWS, STREAM = Home(Target.FEATURES), Home(Target.RESIDUAL)
"""Operand rows, which a product with weights reads however they lie; rows of the residual stream."""


def homes(steps: list[Step], graph: Graph) -> list[Step]:
    """Give every result the home that all of its readers can read; `verify` says where there is none."""
    wanted: dict[str, set[Home]] = {}
    for step in steps:
        for name, home in wants(step, graph):
            wanted.setdefault(name, set()).add(home)
    return [
        dataclasses.replace(step, home=_home(step, graph, wanted.get(step.result, set())))
        if isinstance(step, LinearStep)
        else step
        for step in steps
    ]


def wants(step: Step, graph: Graph) -> Iterator[tuple[str, Home]]:
    """The tensors that a step reads from a memory, and the home that it wants of each."""
    if isinstance(step, AttentionStep):
        for node in (step.scores, step.context):
            for index, name in enumerate(node.inputs):
                home = operand_home(node, index, graph)
                yield from [(name, home)] if home else []
        return
    rows, linear = step.rows, step.linear
    if rows.region and rows.load is not Load.PATCHES:
        first = rows.norm or linear
        home = operand_home(first, 0, graph) if not rows.pool else None
        yield rows.tensor, home or (ROWS if rows.load is Load.ROWS else STREAM)
    if step.addend:
        yield step.addend, STREAM
    if step.factors:
        yield step.factors.tensor, operand_home(linear, 1, graph) or ROWS


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
