# SPDX-License-Identifier: Apache-2.0
"""The end of a reading: which terms are the outputs, and what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hlsgen.errors import Problem
from hlsgen.frontend.read.export import Call, Export, Opaque, Ref
from hlsgen.frontend.read.leaves import by_task
from hlsgen.frontend.read.places import identifier
from hlsgen.frontend.rules.architecture import named
from hlsgen.frontend.rules.canonical import order
from hlsgen.frontend.rules.drained import Drained, Leaf, inside
from hlsgen.frontend.rules.scores import as_product
from hlsgen.frontend.rules.shown import output as shown
from hlsgen.frontend.rules.signs import ENDS
from hlsgen.frontend.rules.site import Neighbours, Site, short
from hlsgen.frontend.rules.terms import Refusal, Term, Terms, Unknown, Value
from hlsgen.ir import View
from hlsgen.ops import Choose, MixedScores, Route, Softmax

POISON = object()
"""In the place of a value that was refused and has no known shape."""


@dataclass
class Reading:
    """What became of every call, the output's term and all problems."""

    status: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    outputs: tuple[Term, ...] = ()
    """Those of a run, task by task; empty while any of them has a problem."""
    names: tuple[str, ...] = ()
    """Of a run's outputs, where there are several."""
    views: tuple[View | None, ...] = ()
    """How the model orders each of the outputs."""
    free: tuple[str, ...] = ()
    """Names of outputs behind which nothing is refused, where others have problems."""
    order: tuple[Term, ...] = ()
    """The outputs by the place of what they show in the model."""


class Results:
    """The outputs of an export of which every call was read; `values` holds what each call gives."""

    def __init__(
        self, export: Export, terms: Terms, values: Mapping[str, Any], neighbours: Neighbours
    ) -> None:
        """`POISON` among `values`: the call was refused."""
        self._export, self._terms, self._values, self._neighbours = export, terms, values, neighbours
        self._refused_outputs: list[tuple[str, Call | None, Refusal]] = []

    def finish(self, reading: Reading) -> None:
        """Add outputs and problems to what was read."""
        names, parts = by_task(self._export)
        found = [
            self._output(path, item)
            for path, item in zip(self._export.names, self._export.outputs, strict=True)
        ]
        choices = {len(term.inputs) for term in self._terms.made if isinstance(term.op, Choose)}
        tasks = max(choices, default=parts)
        if parts == 1:
            found, parts = found * tasks, tasks
        if len(choices) > 1 or parts != tasks:
            reading.problems.append(_tasks_problem(tasks, parts, choices))
        leaves = [leaf for leaf in found if leaf is not None]
        drained = Drained(self._terms, leaves)
        made = [leaf and self._drained(drained, leaf) for leaf in found]
        reading.problems += self._list_refused(names)
        free = {leaf.name for leaf, term in zip(found, made, strict=True) if leaf and term and _is_free(term)}
        if len(free) < len(self._export.names):
            reading.free = tuple(name for name in self._export.names if name in free)
        outputs = [term for term in made if term is not None]
        if len(outputs) == len(found):
            early = sorted(zip(leaves, outputs, strict=True), key=lambda pair: pair[0].term.serial)
            reading.outputs = tuple(outputs)
            reading.views = tuple(leaf.view for leaf in leaves)
            reading.names = names if names != ("",) else ()
            reading.order = tuple(term for _, term in early) if reading.names else ()

    def _drained(self, drained: Drained, leaf: Leaf) -> Term | None:
        """What the machine drains for an output; None: a problem was listed."""
        try:
            return drained.producer(leaf)
        except Refusal as refusal:
            self._refuse_output(leaf.name, self._maker(leaf.name), refusal)
            return None

    def _maker(self, path: str) -> Call | None:
        """The call that gives an output."""
        item = self._export.outputs[self._export.names.index(path)]
        return self._neighbours.makers.get(item.name) if isinstance(item, Ref) else None

    def _refuse_output(self, path: str, call: Call | None, refusal: Refusal) -> None:
        self._refused_outputs.append((path, call, refusal))

    def _list_refused(self, names: Sequence[str]) -> Iterator[Problem]:
        """The problems of outputs themselves; where there are others, leaving them out is a way."""
        refused = {path for path, _, _ in self._refused_outputs}
        others = [path for path in self._export.names if path not in refused] if len(names) > 1 else []
        general = "return the result of the last norm or linear layer, for all tokens or one"
        fix = f"leave it out: --outputs {','.join(others)}" if others else general
        for path, call, refusal in self._refused_outputs:
            found = Refusal(refusal.what, refusal.why, refusal.fix or fix)
            yield self._problem(path, call, found, several=len(names) > 1)

    def _output(self, path: str, output: Ref | Opaque) -> Leaf | None:
        if isinstance(output, Opaque):
            what = f"an output must be a tensor, not {output.text}"
            self._refuse_output(path, None, Refusal(what))
            return None
        value = self._values.get(output.name, POISON)
        if value is POISON:
            return None
        try:
            if not isinstance(value, Value):
                raise Refusal("the output must depend on the input")
            value = as_product(self._terms, value)
            if isinstance(value.term.op, MixedScores | Softmax | Route):
                raise inside(value.term)
            if not value.shape or not value.ids.numel():
                raise Refusal(f"an output must be a tensor of tokens, not of shape {list(value.shape)}")
            name = identifier(path) if len(self._export.names) > 1 else "output"
            return Leaf(path, *shown(self._terms, value, name))
        except Refusal as refusal:
            self._refuse_output(path, self._maker(path), refusal)
            return None

    def _problem(self, path: str, call: Call | None, refusal: Refusal, *, several: bool) -> Problem:
        """What is wrong with an output, named after the architecture where a call tells it."""
        if call is not None and short(call) in ENDS:
            found = named(Site(call, refusal.what, self._neighbours, self._values), refusal)
        else:
            where = str(call.source) if call is not None else ""
            found = Problem(refusal.what, where, refusal.why, refusal.fix, "output of another kind")
        return dataclasses.replace(found, what=f"output {path}: {found.what}") if several else found


def _tasks_problem(tasks: int, parts: int, choices: Collection[int]) -> Problem:
    return Problem(
        f"the model must return an output for each task: {tasks}, not {parts}",
        why=f"its experts have routers for {', '.join(map(str, sorted(choices)))} tasks",
        fix="return a tuple with one tensor for each router, or one for all",
    )


def _is_free(term: Term) -> bool:
    """Whether nothing that a term is made of was refused."""
    return not any(isinstance(before.op, Unknown) for before in order(term))
