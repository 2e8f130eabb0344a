# SPDX-License-Identifier: Apache-2.0
"""The passes of lowering, in order: the one list of them.

`spread`, `align`, `expand` and `forms` legalise: they make of an integer Graph an equal one of which every
node has a place in a command. `cover` makes steps of it, `homes` says where each result lies, and `order`
brings the steps into the program's order. `verify` holds what each of them gives against the rules that hold
from there on. No pass changes an integer: tests evaluate golden behind each of them. What follows depends on
the array: see `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hlsgen.ir import Graph
from hlsgen.lower.cover.cover import cover
from hlsgen.lower.homes import homes
from hlsgen.lower.legalise.align import align
from hlsgen.lower.legalise.expand import expand
from hlsgen.lower.legalise.forms import forms
from hlsgen.lower.legalise.spread import Pitch, spread
from hlsgen.lower.order import order
from hlsgen.lower.step import Step
from hlsgen.lower.verify import Rule, verify


@dataclass(frozen=True)
class State:
    """What passes hand over: a Graph for rows in groups of `row_width`, and its steps, once it is covered.

    windows: attention may go by windows. pitches: tensors that stand for others of the given Graph, with rows
    between.
    """

    graph: Graph
    row_width: int = 1
    steps: tuple[Step, ...] = ()
    windows: bool = True
    pitches: Mapping[str, Pitch] = field(default_factory=dict)


class Pass(NamedTuple):
    """A pass: its name, what it does, and the rules of steps that it may break, see `verify`."""

    name: str
    run: Callable[[State], State]
    rules: tuple[Rule, ...] = ()


def _steps(state: State, steps: list[Step]) -> State:
    return replace(state, steps=tuple(steps))


def _spread(state: State) -> State:
    if not state.windows:
        return state
    graph, pitches = spread(state.graph, state.row_width)
    return replace(state, graph=graph, pitches=pitches)


PASSES = (
    Pass("spread", _spread),
    Pass("align", lambda state: replace(state, graph=align(state.graph, state.row_width))),
    Pass("expand", lambda state: replace(state, graph=expand(state.graph, state.row_width))),
    Pass("forms", lambda state: replace(state, graph=forms(state.graph))),
    Pass("cover", lambda state: _steps(state, cover(state.graph)), (Rule.COVERED,)),
    Pass("homes", lambda state: _steps(state, homes(list(state.steps), state.graph)), (Rule.HOUSED,)),
    Pass("order", lambda state: _steps(state, order(list(state.steps), state.graph.tasks)), tuple(Rule)),
)


def run(
    graph: Graph,
    row_width: int = 1,
    watch: Callable[[str, State], None] | None = None,
    *,
    windows: bool = True,
) -> State:
    """The state behind all passes; `watch` sees it behind each one, under the pass's name.

    Raises `UnsupportedModel` with everything that no command computes, `TypeMismatch` for a fault of a pass.
    """
    state = State(graph, row_width, windows=windows)
    for each in PASSES:
        state = each.run(state)
        verify(state.steps, state.graph, each.rules, each.name)
        if watch:
            watch(each.name, state)
    return state
