# SPDX-License-Identifier: Apache-2.0
"""What holds between passes. A step that breaks a rule is a fault of ours, never of the model.

Graphs have their own rules: `GraphBuilder` proves every type, `Graph.verify` the rest, wherever a pass makes
one. Here are those of steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum

from hlsgen.errors import Problem, TypeMismatch
from hlsgen.ir import Graph
from hlsgen.lower.homes import accepts, wants
from hlsgen.lower.order import sources
from hlsgen.lower.step import LinearStep, Step
from hlsgen.machine.format.commands import Drain, Target


class Rule(Enum):
    """What a pass makes true, and no later pass may undo."""

    COVERED = "each node has a command, each tensor one maker, and a command reads what commands give"
    HOUSED = "each tensor lies where DRAIN can write it and where all of its readers can read it"
    ORDERED = "each tensor is made before it is read, and keys and values still lie there then"


def verify(steps: Sequence[Step], graph: Graph, rules: Sequence[Rule], after: str) -> None:
    """Raise `TypeMismatch` with everything that breaks one of the rules; `after`: the last pass."""
    _raise([text for rule in rules for text in _CHECKS[rule](steps, graph)], after)


def verify_order(steps: Sequence[Step], graph: Graph, after: str) -> None:
    """Raise `TypeMismatch` as `verify` does, behind a pass that does nothing but move steps."""
    _raise(list(_ordered(steps, graph)), after)


def _raise(problems: list[str], after: str) -> None:
    if problems:
        raise TypeMismatch([Problem(f"lowering, after {after}: {text}") for text in dict.fromkeys(problems)])


def _units(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps, those of a mixture of experts together: they make one tensor."""
    found: dict[object, list[Step]] = {}
    for step in steps:
        route = step.route if isinstance(step, LinearStep) else None
        found.setdefault(route.name if route else id(step), []).append(step)
    return list(found.values())


def _covered(steps: Sequence[Step], graph: Graph) -> Iterator[str]:
    """Nodes without a command, tensors with two, and what is read but never stored."""
    units = _units(steps)
    made = Counter(name for unit in units for name in {step.result for step in unit})
    inside = {node.name for step in steps for node in step.nodes}
    needed = {node.name for task in range(graph.tasks) for node in graph.for_task(task)}
    chosen = {node.name for node in graph if node.op.chooses}
    yield from (f"%{name} has {count} makers" for name, count in made.items() if count > 1)
    yield from (
        f"no command executes %{node.name}" for node in graph if node.name in needed - inside - chosen
    )
    yield from (f"no command makes %{name}" for name in graph.outputs if name not in made)
    for unit in units:
        own = {node.name for step in unit for node in step.nodes}
        stored = {name for step in unit for name in sources(step) if name}
        yield from (
            f"%{name}, which %{unit[0].result} reads, lies in no memory"
            for name in sorted(stored - set(made) - {graph.input})
        )
        read = {name for step in unit for node in step.nodes for name in node.inputs}
        unread = sorted((read & needed) - own - stored - chosen)
        yield from (f"the command of %{unit[0].result} must read %{name}" for name in unread)


def _housed(steps: Sequence[Step], graph: Graph) -> Iterator[str]:
    """Readers that look elsewhere, keys and values of several products, results that DRAIN can't write."""
    homes = {step.result: step.home for step in steps}
    readers: Counter[str] = Counter()
    for step in steps:
        home = step.home
        if home is None:
            yield f"%{step.result} has no home"
            continue
        for name, want in wants(step, graph):
            found = homes.get(name)
            readers[name] += want.target in (Target.KEYS, Target.VALUES)
            if found is not None and not accepts(want, found):
                yield f"%{step.result} wants %{name} in {want}, not in {found}"
        if isinstance(step, LinearStep):
            yield from _written(step, graph)
    yield from (f"%{name} serves {count} products" for name, count in readers.items() if count > 1)
    yield from (
        f"output %{n} stays in {homes[n]}" for n in graph.outputs if homes[n] != (Target.OUTPUT, 0, True)
    )


def _written(step: LinearStep, graph: Graph) -> Iterator[str]:
    """What DRAIN can't write: by width, by what it does, by the parts in which a product is made."""
    low, high = graph.type_of(step.result).integer_range
    wide, target = low < -128 or high > 127, step.target
    bytes_only = target in (Target.FEATURES, Target.KEYS, Target.VALUES)
    if wide and bytes_only:
        yield f"%{step.result}, of 16 bits, lies in {step.home}"
    if step.drain is Drain.ACTIVATION and target is not Target.FEATURES:
        yield f"%{step.result}, from a table, lies in {step.home}"
    parts = 1 if step.stacked else step.parts
    if parts > 1 and (step.heads != parts or target is Target.OUTPUT):
        yield f"%{step.result}, made in {parts} parts, lies in {step.home}"
    if parts > 1 and step.drain is Drain.ADD:
        yield f"%{step.result}, made in {parts} parts, has no rows to add"


def _ordered(steps: Sequence[Step], graph: Graph) -> Iterator[str]:
    """What is read too early, and keys and values that another product's have taken the place of."""
    last = {step.result: index for index, step in enumerate(steps)}
    first = {step.result: index for index, step in reversed([*enumerate(steps)])}
    lies: dict[Target, str] = {}
    for index, step in enumerate(steps):
        route = step.route.name if isinstance(step, LinearStep) and step.route else None
        for name in sources(step):
            made = first if route else last
            if name in made and made[name] >= index and name != step.result:
                yield f"%{step.result} reads %{name} before it is made"
        for name, want in wants(step, graph):
            if want.target in (Target.KEYS, Target.VALUES) and lies.get(want.target) != name:
                yield f"%{step.result} finds %{lies.get(want.target)} in place of %{name}"
        if isinstance(step, LinearStep) and step.target in (Target.KEYS, Target.VALUES):
            lies[step.target] = step.result


_CHECKS = {Rule.COVERED: _covered, Rule.HOUSED: _housed, Rule.ORDERED: _ordered}
