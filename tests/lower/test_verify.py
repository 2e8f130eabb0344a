# SPDX-License-Identifier: Apache-2.0
"""The verifier finds what a pass could break: each rule is broken by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from support.graphs import DIGITS, integer_vit
from support.token_graphs import integers

from hlsgen.errors import TypeMismatch
from hlsgen.ir import Graph
from hlsgen.lower.homes import ROWS
from hlsgen.lower.passes import PASSES, run
from hlsgen.lower.step import Home, LinearStep, Step
from hlsgen.lower.verify import Rule, verify
from hlsgen.machine.format.commands import Target

Steps = list[Step]


@pytest.fixture(scope="module")
def vit() -> tuple[Graph, Steps]:
    state = run(integer_vit(DIGITS))
    return state.graph, list(state.steps)


def place(steps: Steps, wanted: Callable[[Any], bool]) -> int:
    return next(i for i, step in enumerate(steps) if isinstance(step, LinearStep) and wanted(step))


def changed(steps: Steps, index: int, **fields: Any) -> Steps:
    return [*steps[:index], dataclasses.replace(steps[index], **fields), *steps[index + 1 :]]


def lost(steps: Steps) -> Steps:
    return [step for step in steps if step.result != "b0_context"]


def twice(steps: Steps) -> Steps:
    return [*steps, dataclasses.replace(steps[0])]


def without_norm(steps: Steps) -> Steps:
    """A step whose nodes lack the norm that its linear layer reads."""
    index = place(steps, lambda step: step.rows.norm)
    return changed(steps, index, nodes=steps[index].nodes[1:])


def homeless(steps: Steps) -> Steps:
    return changed(steps, place(steps, lambda _: True), home=None)


def in_features(steps: Steps) -> Steps:
    """A sum of 16 bits, which a norm reads."""
    return changed(steps, place(steps, lambda step: step.home == Home(Target.RESIDUAL)), home=ROWS)


def in_other_heads(steps: Steps) -> Steps:
    keys = place(steps, lambda step: step.target is Target.KEYS)
    return changed(steps, keys, home=Home(Target.KEYS, 1))


def too_late(steps: Steps) -> Steps:
    return [*steps[1:], steps[0]]


def overwritten(steps: Steps) -> Steps:
    """Keys of the second block before the attention of the first."""
    keys = [i for i, step in enumerate(steps) if step.home and step.home.target is Target.KEYS]
    first, second = keys[:2]
    moved = [step for i, step in enumerate(steps) if i != first]
    return [*moved[: second - 1], moved[second - 1], steps[first], *moved[second:]]


@pytest.mark.parametrize(
    ("change", "rule", "text"),
    [
        (lost, Rule.COVERED, "no command executes %b0_context"),
        (twice, Rule.COVERED, "has 2 makers"),
        (without_norm, Rule.COVERED, "must read %"),
        (homeless, Rule.HOUSED, "has no home"),
        (in_features, Rule.HOUSED, "of 16 bits, lies in Home"),
        (in_other_heads, Rule.HOUSED, "wants %b0_k in Home"),
        (too_late, Rule.ORDERED, "before it is made"),
        (overwritten, Rule.ORDERED, "in place of %"),
    ],
)
def test_a_broken_rule_is_found(
    vit: tuple[Graph, Steps], change: Callable[[Steps], Steps], rule: Rule, text: str
) -> None:
    graph, steps = vit
    verify(steps, graph, tuple(Rule), "order")
    with pytest.raises(TypeMismatch, match="lowering, after here: ") as caught:
        verify(change(steps), graph, (rule,), "here")
    assert text in str(caught.value)


def test_two_products_of_the_same_keys_are_found() -> None:
    graph, _ = integers("linear_attention", 3, 12, 2)
    state = run(graph)
    steps = list(state.steps)
    keys = [i for i, s in enumerate(steps) if isinstance(s, LinearStep) and s.factors and s.factors.keys]
    twin = dataclasses.replace(steps[keys[0]])
    with pytest.raises(TypeMismatch, match="serves 2 products"):
        verify([*steps, twin], state.graph, (Rule.HOUSED,), "here")


def test_every_pass_of_steps_is_verified() -> None:
    assert [each.name for each in PASSES if each.rules] == ["cover", "homes", "order"]
    assert PASSES[-1].rules == tuple(Rule)
