# SPDX-License-Identifier: Apache-2.0
"""What an executor is, and the simplest one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Calls a function for many items. What becomes of an item does not depend on the executor."""

    workers: int
    """Calls that run at the same time, about: what work should be cut for."""

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """Each item's index and result, as they come.

        Parameters
        ----------
        function
            Of a module that workers can import. It must not depend on anything but its arguments: where a
            worker is lost, its item is computed once more.
        shared
            What all calls need; it is sent to each worker once.
        items
            Small, ready for pickle; so must the results be.

        An error of the function ends the run and is raised here. Raises `ToolFailed` where workers are lost
        again and again.
        """
        ...


class Serial:
    """Everything in this process."""

    workers = 1

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        for index, item in enumerate(items):
            yield index, function(shared, item)


def ordered(results: Iterator[tuple[int, Any]], count: int, done: Callable[[int], object]) -> list[Any]:
    """All results in the order of their items; `done` is told how many there are, each time."""
    found: dict[int, Any] = {}
    for index, result in results:
        found[index] = result
        done(len(found))
    return [found[index] for index in range(count)]


def cut(count: int, parts: int) -> list[range]:
    """0..count in at most so many ranges, about equally long, none empty."""
    parts = max(1, min(parts, count))
    edges = [count * part // parts for part in range(parts + 1)]
    return [range(begin, end) for begin, end in pairwise(edges) if end > begin]
