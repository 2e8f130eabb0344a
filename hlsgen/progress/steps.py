# SPDX-License-Identifier: Apache-2.0
"""Steps of long work: any part of hlsgen opens them; who shows them listens.

Steps nest, and threads may have steps of their own at the same time. The steps that a verb planned have a
number; others are details of those.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)
LOGS = "logs"
"""Folder of the steps' logs, below `build` in a build folder or project."""


@dataclass(eq=False)
class Step:
    """A part of the work.

    number, of: its place among the planned ones, 0 where it is a detail. done, total: of what `unit` names;
    total is 0 where nobody knows it. count: tells `done` of work in another process. log: the file of its
    tools' output, once there is one. watched: a file that a tool writes itself, whose last line tells more.
    """

    name: str
    total: int = 0
    unit: str = "images"
    number: int = 0
    of: int = 0
    done: int = 0
    count: Callable[[], int] | None = None
    log: Path | None = None
    watched: Path | None = None
    begun: float = field(default_factory=time.monotonic)
    thread: int = field(default_factory=threading.get_ident)

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self.done += amount

    def parts(self, items: T, size: int) -> Iterator[T]:
        """Slices of `items`, `size` at a time; each counts as done when the next one is asked for."""
        for start in range(0, len(items), size):
            part = items[start : start + size]
            yield part
            self.advance(len(part))

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.begun

    def refresh(self) -> None:
        """Ask `count` how much is done."""
        if self.count is not None:
            self.done = max(self.done, min(self.count(), self.total))

    @property
    def seconds_left(self) -> float | None:
        """As its rate so far tells; None where that is not known."""
        if not self.total or not self.done:
            return None
        return self.seconds * (self.total - self.done) / self.done


class Listener:
    """Is told of steps; this one does nothing with it."""

    def begin(self, step: Step) -> None:
        """A step began."""

    def end(self, step: Step) -> None:
        """A step ended, well or not."""

    def say(self, text: str) -> None:
        """A line for who waits."""

    def detail(self, text: str) -> None:
        """A line for who wants to know all."""


class _State:
    """What is going on in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.plan: list[str] = []
        self.open: list[Step] = []
        self.logs: Path | None = None
        self.written: set[Path] = set()


_STATE = _State()


def plan(*names: str) -> None:
    """These steps are to come, behind those that were planned before."""
    with _STATE.lock:
        _STATE.plan += names


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within it the listener is told of all steps; the outermost one begins with an empty plan."""
    with _STATE.lock:
        if not _STATE.listeners:
            _STATE.plan = []
        _STATE.listeners.append(listener)
    try:
        yield
    finally:
        with _STATE.lock:
            _STATE.listeners.remove(listener)
            if not _STATE.listeners:
                _STATE.logs = None


@contextmanager
def step(name: str, total: int = 0, unit: str = "images") -> Iterator[Step]:
    """Within it a part of the work is done. total: how many of what `unit` names, where that is known."""
    with _STATE.lock:
        number = _STATE.plan.index(name) + 1 if name in _STATE.plan else 0
        found = Step(name, total, unit, number, len(_STATE.plan) if number else 0)
        _STATE.open.append(found)
        for listener in _STATE.listeners:
            listener.begin(found)
    try:
        yield found
    finally:
        with _STATE.lock:
            _STATE.open.remove(found)
            for listener in _STATE.listeners:
                listener.end(found)


def open_steps() -> tuple[Step, ...]:
    """Steps that are under way, the outer ones first."""
    with _STATE.lock:
        return tuple(_STATE.open)


def say(text: str) -> None:
    """Tell a line to who waits."""
    with _STATE.lock:
        for listener in _STATE.listeners:
            listener.say(text)


def detail(text: str) -> None:
    """Tell a line to who wants to know all."""
    with _STATE.lock:
        for listener in _STATE.listeners:
            listener.detail(text)


def logs_in(folder: Path) -> None:
    """From now on, with a listener, the output of tools goes into files of `folder`, one for each step."""
    with _STATE.lock:
        if _STATE.listeners:
            _STATE.logs, _STATE.written = folder, set()


def log_file(name: str) -> Path | None:
    """The log of the innermost step, or of a tool's `name` where there is none; None where logs are not kept.

    The first call of a run empties it.
    """
    with _STATE.lock:
        if _STATE.logs is None:
            return None
        mine = [each for each in _STATE.open if each.thread == threading.get_ident()]
        within = (mine or _STATE.open or [None])[-1]
        title = re.sub(r"[^A-Za-z0-9+-]+", "-", within.name if within else name)
        path = _STATE.logs / f"{title}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a" if path in _STATE.written else "w").close()
        except OSError:
            return None  # a folder that can't be written: errors tell the tool's last lines anyway
        _STATE.written.add(path)
        if within is not None:
            within.log = path
        return path
