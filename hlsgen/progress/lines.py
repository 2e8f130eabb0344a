# SPDX-License-Identifier: Apache-2.0
"""Plain lines, where there is no terminal."""

from __future__ import annotations

import threading
from typing import TextIO

from hlsgen.progress.steps import Listener, Step
from hlsgen.progress.words import NORMAL, VERBOSE, title, under_way

FIRST_SECONDS = 1.0
"""Without any line for so long, the first one says that the work has begun."""
SILENCE_SECONDS = 4.0
"""The longest silence of plain lines while a step is under way."""


class Lines(Listener):
    """Plain lines, at least one every `SILENCE_SECONDS`."""

    def __init__(self, stream: TextIO, verb: str, verbosity: int = NORMAL) -> None:
        self._stream, self._verb, self._verbosity = stream, verb, verbosity
        self._heard, self._stop = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._last = ""
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def start(self) -> None:
        """From now on no silence is long."""
        self._thread.start()

    def stop(self) -> None:
        """The work is over."""
        self._stop.set()
        self._heard.set()
        self._thread.join()

    def begin(self, step: Step) -> None:
        told = title(step)
        if (step.number and told != self._last) or self._verbosity >= VERBOSE:
            self._print(told)
        self._last = told if step.number else self._last

    def end(self, step: Step) -> None:
        if self._verbosity >= VERBOSE:
            step.refresh()
            counted = f"{step.done} {step.unit}, " if step.total else ""
            log = f", log {step.log}" if step.log else ""
            self._print(f"{title(step)}: {counted}{step.seconds:.1f} s{log}")

    def say(self, text: str) -> None:
        self._print(text)

    def detail(self, text: str) -> None:
        if self._verbosity >= VERBOSE:
            self._print(text)

    def _print(self, text: str) -> None:
        plain = "".join(c if c.isprintable() else " " for c in text)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            with self._lock:
                self._stream.write(f"hlsgen: {plain}\n".encode(encoding, "backslashreplace").decode(encoding))
                self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more; the work goes on
        self._heard.set()

    def _watch(self) -> None:
        """In a thread of its own: speak where nothing else did."""
        patience = FIRST_SECONDS
        while not self._stop.is_set():
            self._heard.clear()
            heard = self._heard.wait(patience)
            if not heard and not self._stop.is_set():
                self._print(under_way() or self._verb)
            patience = SILENCE_SECONDS
