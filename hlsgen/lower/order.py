# SPDX-License-Identifier: Apache-2.0
"""The order of a program's steps."""

from __future__ import annotations

from collections.abc import Mapping

from hlsgen.errors import Problem, UnsupportedModel
from hlsgen.errors.codes import Code
from hlsgen.lower.step import AttentionStep, Home, LinearStep, Step
from hlsgen.machine.format.commands import Target


def order(steps: list[Step], tasks: int = 1) -> list[Step]:
    """The same steps in program order: each behind what it reads, an attention's operands right before it.

    Raises `UnsupportedModel` where no order lets each of so many tasks end behind its last output.
    """
    return _operands_last(_outputs_of_one_task_first(_after_sources(steps), tasks))


def _outputs_of_one_task_first(steps: list[Step], tasks: int) -> list[Step]:
    """Move an output behind which one task ends, and another one does not, to the end.

    A task ends with a command that is marked so, whatever the task. Nobody reads outputs.
    """
    for _ in range(1 + sum(step.home == Home(Target.OUTPUT) for step in steps)):
        early = _ends_early(steps, tasks)
        if early is None:
            return steps
        steps = [*(step for step in steps if step is not early), early]
    raise UnsupportedModel(
        Problem(
            "tasks that share outputs in a ring can't all end behind their last one",
            fix="return one of these outputs from every task",
        ),
        code=Code.LOWERING,
    )


def _ends_early(steps: list[Step], tasks: int) -> Step | None:
    """The last output of a task behind which another task that computes it has more."""
    outputs = [step for step in steps if step.home == Home(Target.OUTPUT)]
    last = [[step for step in outputs if runs_for(step, task)][-1] for task in range(tasks)]
    for ending in last:
        if any(runs_for(ending, task) and last[task] is not ending for task in range(tasks)):
            return ending
    return None


def runs_for(step: Step, task: int) -> bool:
    """Whether a task computes the step."""
    return not step.tasks or bool(step.tasks >> task & 1)


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
    tile of queries but needs all keys, so the queries should drain last, unless others read them before.
    Where they are a product whose own factors lie in such a memory, they come before what is written there.
    """
    result = list(steps)
    for step in steps:
        _bring_operands(step, result)
    return result


def _bring_operands(step: Step, steps: list[Step]) -> None:
    """Move the step's operands right before it, and theirs along with those that have been moved."""
    made = {other.result: other for other in steps}
    for name in _operands(step, made):
        maker, reader = (_place(each, steps) for each in (made[name], step))
        if not any(name in sources(other) for other in steps[maker + 1 : reader]):
            steps.insert(reader - 1, steps.pop(maker))
            if maker < reader - 1:
                _bring_operands(made[name], steps)


def _place(step: Step, steps: list[Step]) -> int:
    """The step's own number: steps of experts may be equal."""
    return next(number for number, each in enumerate(steps) if each is step)


def _operands(step: Step, made: Mapping[str, Step]) -> list[str]:
    """The tensors to be made right before a step, in order; `made`: all and their steps, in program order."""
    if isinstance(step, AttentionStep):
        query = made[step.query]
        factors = query.factors if isinstance(query, LinearStep) else None
        queries = [step.query] if factors is None or (factors.keys and not step.keys) else []
        return [*(name for name in made if name in step.operands), *queries]
    return [step.factors.tensor] if step.factors else []
