# SPDX-License-Identifier: Apache-2.0
"""A live line on a terminal, drawn by rich: step, bar, images done, time passed and left."""

from __future__ import annotations

import threading
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from hlsgen.progress.steps import Listener, Step
from hlsgen.progress.words import VERBOSE, amount, clock, tail, title

REDRAW_SECONDS = 0.25


class Live(Listener):
    """Open steps are lines that move; planned ones leave a line with their time behind."""

    def __init__(self, stream: TextIO, verb: str, verbosity: int) -> None:
        self._verbosity = verbosity
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[amount]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=1 / REDRAW_SECONDS,
        )
        self._verb = Step(verb)
        self._tasks: dict[Step, TaskID] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._progress.start()
        self.begin(self._verb)
        self._thread.start()

    def stop(self) -> None:
        """Take the live lines away."""
        self._over.set()
        self._thread.join()
        self._progress.stop()

    def begin(self, step: Step) -> None:
        with self._lock:
            text = title(step) if step is not self._verb else f"hlsgen {step.name}"
            self._tasks[step] = self._progress.add_task(text, total=step.total or None, amount="")

    def end(self, step: Step) -> None:
        with self._lock:
            self._progress.remove_task(self._tasks.pop(step))
        if step.number or self._verbosity >= VERBOSE:
            log = f", log {step.log}" if step.log and self._verbosity >= VERBOSE else ""
            self.say(f"{title(step)}: {clock(step.seconds)}{log}")

    def say(self, text: str) -> None:
        self._console.print(f"hlsgen: {text}", markup=False)

    def detail(self, text: str) -> None:
        if self._verbosity >= VERBOSE:
            self.say(text)

    def _watch(self) -> None:
        """In a thread of its own: bring the live lines up to date."""
        while not self._over.wait(REDRAW_SECONDS):
            with self._lock:
                for step, task in self._tasks.items():
                    said = amount(step)
                    last = tail(step)
                    self._progress.update(
                        task,
                        completed=step.done,
                        total=step.total or None,
                        amount=f"{said} | {last}" if last else said,
                    )
