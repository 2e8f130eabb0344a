# SPDX-License-Identifier: Apache-2.0
"""The order of a program's steps."""

from __future__ import annotations

from collections.abc import Iterable

from hlsgen.lower.step import AttentionStep, Step


def order(steps: list[Step]) -> list[Step]:
    """The same steps in program order: each behind what it reads, an attention's operands right before it."""
    return _operands_last(_after_sources(steps))


def _after_sources(steps: list[Step]) -> list[Step]:
    """The same steps; what a step reads and only later ones make comes right before it."""
    makers: dict[str, Step] = {}
    for step in steps:
        makers.setdefault(step.result, step)  # experts make one tensor together
    done: dict[int, Step] = {}

    def visit(step: Step) -> None:
        if id(step) not in done:
            for name in sources(step):
                if name in makers and makers[name] is not step:
                    visit(makers[name])
            done[id(step)] = step

    for step in steps:
        visit(step)
    return list(done.values())


def sources(step: Step) -> tuple[str, ...]:
    """The tensors that a step reads."""
    if isinstance(step, AttentionStep):
        return (step.query, *step.operands)
    factors = [step.factors.tensor] if step.factors else []
    return (step.rows.tensor, *([step.addend] if step.addend else []), *factors)


def _operands_last(steps: list[Step]) -> list[Step]:
    """Move each product's keys and values right before it, and an attention's queries behind them.

    Keys and values lie in memories of their own, which hold those of one product. Attention starts with a
    tile of queries but needs all keys, so the queries should drain last.
    """
    result = list(steps)
    for step in steps:
        made = {other.result: other for other in result}
        for name in _operands(step, made):
            result.remove(made[name])
            result.insert(result.index(step), made[name])
    return result


def _operands(step: Step, made: Iterable[str]) -> list[str]:
    """The tensors to be made right before a step, in order; `made`: all, in program order."""
    if isinstance(step, AttentionStep):
        return [*(name for name in made if name in step.operands), step.query]
    return [step.factors.tensor] if step.factors else []
