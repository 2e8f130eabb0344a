# SPDX-License-Identifier: Apache-2.0
"""Every operator of a model's export with its support, and all problems at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hlsgen.errors import Problem
from hlsgen.errors.codes import Code
from hlsgen.frontend.capture import Capture, Model, examine
from hlsgen.frontend.outline import outline
from hlsgen.frontend.read.export import GETITEM
from hlsgen.frontend.rules.canonical import order
from hlsgen.frontend.rules.interpret import BLOCKED, FOLDED, MAPPED, REFUSED, UNUSED, known
from hlsgen.ir import Graph

_WORDS = {
    MAPPED: "hardware",
    FOLDED: "folded away",
    UNUSED: "unused",
    REFUSED: "refused",
    BLOCKED: "not reached",
}


@dataclass(frozen=True)
class OpUse:
    """One operator: how often, what became of its calls, and where they are."""

    op: str
    count: int
    supported: bool
    status: dict[str, int]
    places: tuple[tuple[str, str], ...]
    known: bool = True
    """Whether there is a rule for it; what a call needs may still be wrong, or not be reached."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        places = [{"module": module, "location": location} for module, location in self.places]
        return {
            "op": self.op,
            "count": self.count,
            "supported": self.supported,
            "status": self.status,
            "places": places,
        }


@dataclass(frozen=True)
class InspectReport:
    """All operators of a model, and all problems."""

    ops: tuple[OpUse, ...]
    """Each operator with its count, support and places, by first appearance."""
    problems: tuple[Problem, ...]
    """All that stands in the way; empty for a supported model."""
    graph: Graph | None
    """The float Graph of a supported model."""
    architecture: dict[str, str] = field(default_factory=dict)
    """What was understood of the model, part by part: image, tokens, attention, MLP, pooling, outputs."""
    notes: tuple[str, ...] = ()
    """What was done to the model or is left to the host, and which outputs nothing stands before."""

    @property
    def supported(self) -> bool:
        """Whether the model can be compiled."""
        return self.graph is not None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        keys = ("what", "where", "why", "fix", "name")
        return {
            "supported": self.supported,
            "architecture": self.architecture,
            "ops": [use.as_dict() for use in self.ops],
            "problems": [
                {key: getattr(problem, key) for key in keys} | {"code": problem.code or Code.UNSUPPORTED}
                for problem in self.problems
            ],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        width = max([len(use.op) for use in self.ops], default=2)
        lines = [f"{part:10} {text}" for part, text in self.architecture.items()]
        lines += [""] * bool(lines) + [f"{'op':{width}}  count  supported  use"]
        for use in self.ops:
            words = ", ".join(f"{_WORDS[status]} {count}" for status, count in use.status.items())
            lines.append(f"{use.op:{width}}  {use.count:5}  {_verdict(use):9}  {words}")
            if REFUSED in use.status:
                lines += [f"{'':{width}}    {' at '.join(filter(None, place))}" for place in use.places]
        calls = sum(use.count for use in self.ops)
        verdict = "all supported" if self.supported else f"{len(self.problems)} problem(s)"
        lines += ["", f"{calls} calls of {len(self.ops)} ops: {verdict}"]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"\n{problem}" for problem in self.problems]
        return "\n".join(lines)


def inspect(
    model: Model, example_inputs: Any = None, outputs: Sequence[str] | None = None, *, compare: bool = True
) -> InspectReport:
    """Report every operator of the export; arguments as for `capture`. Problems are listed, not raised."""
    result = examine(model, example_inputs, outputs, compare=compare)
    terms = order(*result.outputs) if result.outputs else result.terms
    understood = outline(terms, result.outputs)
    return InspectReport(_uses(result), result.problems, result.graph, understood, tuple(result.notes))


def _verdict(use: OpUse) -> str:
    """The word of the table: nothing is said to be supported that was not reached."""
    if use.supported:
        return "yes"
    return "unknown" if use.known and BLOCKED in use.status and REFUSED not in use.status else "NO"


def _uses(result: Capture) -> tuple[OpUse, ...]:
    calls = [call for call in (result.export.calls if result.export else ()) if call.target != GETITEM]
    uses = []
    for target in dict.fromkeys(call.target for call in calls):
        mine = [call for call in calls if call.target == target]
        status = dict(Counter(result.status.get(call.name, BLOCKED) for call in mine))
        read = known(target) or status.keys() <= {UNUSED, FOLDED}
        refused = [call for call in mine if result.status.get(call.name) == REFUSED]
        places = tuple(dict.fromkeys((c.source.module, c.source.location) for c in refused or mine))
        supported = read and not refused and BLOCKED not in status
        uses.append(OpUse(target, len(mine), supported, status, places, known=read))
    return tuple(uses)
