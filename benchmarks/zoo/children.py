# SPDX-License-Identifier: Apache-2.0
"""Each model in a process of its own, with a time limit: a crash or a hang is a result, and has a name."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.zoo.entry import Entry
from benchmarks.zoo.judge import CRASH, HANG, TRACEBACK

Work = Callable[[Entry], dict[str, Any]]
_CONTEXT = multiprocessing.get_context("fork")  # the libraries are imported once


def run(
    entries: Sequence[Entry], work: Work, jobs: int, seconds: float
) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """What `work` returns for each entry, as it comes."""
    waiting, running = list(reversed(entries)), []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_Child(waiting.pop(), work))
        time.sleep(0.01)
        for child in list(running):
            result = child.result(seconds)
            if result is not None:
                running.remove(child)
                yield child.entry, result


class _Child:
    def __init__(self, entry: Entry, work: Work) -> None:
        self.entry, self.started = entry, time.monotonic()
        self._end, other = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_main, args=(entry, work, other), daemon=True)
        self._process.start()
        other.close()

    def result(self, seconds: float) -> dict[str, Any] | None:
        """The result, once there is one."""
        took = time.monotonic() - self.started
        if self._end.poll():
            try:
                found = self._end.recv()
            except EOFError:
                self._process.join()
                found = {"kind": CRASH, "reason": f"exit code {self._process.exitcode}"}
        elif took > seconds:
            self._process.kill()
            found = {"kind": HANG, "reason": f"no answer after {seconds:g} s"}
        else:
            return None
        self._process.join()
        return found | {"seconds": round(took, 2)}


def _main(entry: Entry, work: Work, end: Connection) -> None:
    try:
        found = work(entry)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the result
        lines = traceback.format_exc().strip().splitlines()
        found = {"kind": TRACEBACK, "reason": f"{type(error).__name__}: {error}"[:300], "trace": lines[-12:]}
    end.send(found)
    end.close()
