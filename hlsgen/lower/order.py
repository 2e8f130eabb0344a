# SPDX-License-Identifier: Apache-2.0
"""The order of a program's steps."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.lower.step import AttentionStep, LinearStep, Step


def order(steps: list[Step]) -> list[Step]:
    """The same steps in program order: each behind what it reads, an attention's operands right before it."""
    return _operands_last(_after_sources(steps))


def _after_sources(steps: list[Step]) -> list[Step]:
    """The same steps; what a step reads and only later ones make comes right before it.

    A mixture's routers and experts, which make one tensor together, stay together.
    """
    units: dict[object, list[Step]] = {}
    for step in steps:
        units.setdefault(_unit(step), []).append(step)
    makers = {step.result: unit for unit, members in units.items() for step in members}
    done: dict[object, None] = {}

    def visit(unit: object) -> None:
        if unit in done:
            return
        for step in units[unit]:
            for name in sources(step):
                if makers.get(name, unit) != unit:
                    visit(makers[name])
        done[unit] = None

    for unit in units:
        visit(unit)
    return [step for unit in done for step in units[unit]]


def _unit(step: Step) -> object:
    """What the steps of a mixture of experts have in common; each other step has its own."""
    route = step.route if isinstance(step, LinearStep) else None
    return route.name if route else id(step)


def sources(step: Step) -> tuple[str, ...]:
    """The tensors that a step reads."""
    if isinstance(step, AttentionStep):
        return (step.query, *step.operands)
    factors = [step.factors.tensor] if step.factors else []
    return (step.rows.tensor, *([step.addend] if step.addend else []), *factors)


def _operands_last(steps: list[Step]) -> list[Step]:
    """Move each product's keys and values right before it, and an attention's queries behind them.

    Keys and values lie in memories of their own, which hold those of one product. Attention starts with a
    tile of queries but needs all keys, so the queries should drain last. Where they are a product whose own
    factors lie in such a memory, they come before what is written there.
    """
    result = list(steps)
    for step in steps:
        made = {other.result: other for other in result}
        for name in _operands(step, made):
            result.remove(made[name])
            result.insert(result.index(step), made[name])
    return result


def _operands(step: Step, made: Mapping[str, Step]) -> list[str]:
    """The tensors to be made right before a step, in order; `made`: all and their steps, in program order."""
    if isinstance(step, AttentionStep):
        query = made[step.query]
        factors = query.factors if isinstance(query, LinearStep) else None
        queries = [step.query] if factors is None or (factors.keys and not step.keys) else []
        return [*(name for name in made if name in step.operands), *queries]
    return [step.factors.tensor] if step.factors else []
