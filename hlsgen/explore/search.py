# SPDX-License-Identifier: Apache-2.0
"""The search: rounds of points, each next to the best ones so far. No order of answers changes its course."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from hlsgen.executors.executor import Executor
from hlsgen.explore.evaluate import evaluate_all
from hlsgen.explore.front import Constraints, front, ranking
from hlsgen.explore.point import Point
from hlsgen.explore.result import Result
from hlsgen.explore.space import Space
from hlsgen.explore.subject import Subject

ROUNDS = 8
"""A round has at most this part of all points, so that the next one can learn from it."""
SMALLEST_ROUND = 32
TOGETHER = 16
"""Points of a piece of work: some seconds, so that little is lost with a worker."""

Keep = Callable[[Sequence[Result]], object]
Progress = Callable[[int, int], object]


class Evaluator:
    """Gets results: those that are known, and the others from an executor, kept as they come."""

    def __init__(
        self, subject: Subject, executor: Executor, known: Mapping[Point, Result], keep: Keep
    ) -> None:
        self._subject, self._executor, self._keep = subject, executor, keep
        self._known = dict(known)
        self.computed = 0
        """Points that were not known."""

    def results(self, points: Sequence[Point], done: Callable[[int], object]) -> list[Result]:
        """The results in the order of the points; `done` is told how many there are."""
        missing = [point for point in points if point not in self._known]
        have = len(points) - len(missing)
        pieces = _pieces(missing, self._executor.workers)
        done(have)
        for _, results in self._executor.run(evaluate_all, self._subject, pieces):
            self._keep(results)
            self._known |= {result.point: result for result in results}
            self.computed += len(results)
            have += len(results)
            done(have)
        return [self._known[point] for point in points]


def _pieces(points: Sequence[Point], workers: int) -> list[list[Point]]:
    """Points with one array and setting side by side, in pieces that leave no worker without one."""
    ordered = sorted(points, key=lambda point: (point.board, point.logit_width, point.array, point))
    size = max(1, min(TOGETHER, len(points) // (2 * workers)))
    return [
        [point for _, point in group]
        for _, group in groupby(enumerate(ordered), key=lambda item: item[0] // size)
    ]


def search(
    space: Space,
    count: int,
    constraints: Constraints,
    evaluator: Evaluator,
    progress: Progress = lambda _done, _total: None,
) -> dict[Point, Result]:
    """At most `count` results: from the seeds to the front of what meets the constraints, and along it.

    Once all neighbours of the front are known, the rest are points from anywhere.
    """
    found: dict[Point, Result] = {}
    most, batch, rest = max(SMALLEST_ROUND, count // ROUNDS), space.seeds(), None
    while len(found) < count:
        if not batch:
            rest = space.scattered() if rest is None else rest
            batch = [point for point in rest if point not in found]
            if not batch:
                break
        batch, so_far = batch[: min(most, count - len(found))], len(found)
        results = evaluator.results(batch, lambda done, so_far=so_far: progress(so_far + done, count))
        found |= {result.point: result for result in results}
        batch = _next(space, found, constraints)
    return found


def _next(space: Space, found: Mapping[Point, Result], constraints: Constraints) -> list[Point]:
    """New neighbours of the front, those of the best points first."""
    best = front(found.values())
    beside = (
        point for result in ranking(best, constraints) or best for point in space.neighbours(result.point)
    )
    return [point for point in dict.fromkeys(beside) if point not in found]
