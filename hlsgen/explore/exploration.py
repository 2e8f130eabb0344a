# SPDX-License-Identifier: Apache-2.0
"""`explore`: search, front, confirmation and explanation, kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hlsgen.executors.executor import Executor
from hlsgen.explore.confirm import Confirmed, confirm
from hlsgen.explore.explain import Neighbour, bound_text, neighbours
from hlsgen.explore.front import Constraints, front, ranking
from hlsgen.explore.point import Point
from hlsgen.explore.records import Records
from hlsgen.explore.result import Result
from hlsgen.explore.search import Evaluator, Progress, search
from hlsgen.explore.space import Space
from hlsgen.explore.subject import Subject
from hlsgen.progress.steps import Step, step

FRONT = "front.json"
"""The file of an exploration's folder with the front, the best points first, and why."""


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What came of a search.

    front: of all points that fit, the fastest first. best: those of the front that meet the constraints, the
    best first. computed: points that were not known before.
    """

    name: str
    found: Mapping[Point, Result]
    front: tuple[Result, ...]
    best: tuple[Result, ...]
    space: Space
    constraints: Constraints
    computed: int = 0
    confirmed: tuple[Confirmed, ...] = ()

    def bound(self, result: Result) -> str:
        """What bounds the point's time."""
        return bound_text(result)

    def neighbours(self, result: Result) -> list[Neighbour]:
        """The points next to it that were looked at, and why they are not the better choice."""
        return neighbours(result, self.found, self.space, self.constraints)

    def closest(self) -> list[str]:
        """Why no point is left: what the constraints cost, each by the point that comes nearest."""
        fitting = [result for result in self.found.values() if result.fits]
        if not fitting:
            reasons = [problem for result in self.found.values() for problem in result.problems[:1]]
            return list(dict.fromkeys(reasons))[:3]
        nearest = min(
            fitting, key=lambda result: (len(self.constraints.unmet(result)), result.known.latency_ms)
        )
        return [f"{nearest.point}: {text}" for text in self.constraints.unmet(nearest)]

    def data(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "model": self.name,
            "points": len(self.found),
            "fitting": sum(result.fits for result in self.found.values()),
            "front": [result.data() for result in self.front],
            "best": [
                {
                    "point": result.point.data(),
                    "options": result.point.command(),
                    "why": bound_text(result),
                    "neighbours": [vars(each) for each in self.neighbours(result)],
                }
                for result in self.best
            ],
            "confirmed": [each.data() for each in self.confirmed],
        }


def explore(
    subject: Subject,
    space: Space,
    *,
    points: int,
    executor: Executor,
    constraints: Constraints | None = None,
    confirmed: int = 0,
    records: Records | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Exploration:
    """Look at so many points of a space, and have the best ones confirmed in RTL.

    Parameters
    ----------
    subject
        The model, quantized.
    space
        See `make_space`.
    points
        Most points to look at. The search goes along the front, so that its neighbours are among them.
        Points of the space that the folder holds count as well; with 0 they are all.
    executor
        Where points are evaluated.
    constraints
        What the best points must meet.
    confirmed
        How many of the best points run in RTL.
    records
        The folder that keeps results as they come; what it holds is not computed again.
    progress
        Called with the number of points, then of confirmed ones, that are done, and with all of them.

    Raises what `evaluate` and `confirm` raise.
    """
    known = records.known() if records else {}
    evaluator = Evaluator(subject, executor, known, records.append if records else _forget)
    limits = constraints or Constraints()
    with step("points", points, "points") as told:
        found = search(space, points, limits, evaluator, _telling(told, progress))
    if extra := known.keys() - found.keys():
        inside = set(space.points())
        found |= {point: known[point] for point in sorted(extra) if point in inside}
    best = front(found.values())
    done = Exploration(
        name=subject.name,
        found=found,
        front=tuple(best),
        best=tuple(ranking(best, limits)),
        space=space,
        constraints=limits,
        computed=evaluator.computed,
    )
    if confirmed and done.best:
        chosen = done.best[:confirmed]
        with step("confirm", len(chosen), "points") as told:
            runs = confirm(subject, chosen, executor, _telling(told, progress))
        done = replace(done, confirmed=tuple(runs))
    if records:
        records.write(FRONT, done.data())
    return done


def _telling(told: Step, progress: Progress) -> Progress:
    """Tells the step, and whoever asked."""

    def tell(done: int, total: int) -> None:
        told.done = done
        progress(done, total)

    return tell


def _forget(_results: Sequence[Result]) -> None:
    """Where there is no folder."""
