# SPDX-License-Identifier: Apache-2.0
"""Processes on this computer, one item at a time each. One that is lost is replaced.

They are no `ProcessPoolExecutor`: see `hlsgen/emit/rtl_cache.py` for what that does to scripts, to PyTorch's
threads and to children of a pool that is ended.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hlsgen.errors import ToolFailed
from hlsgen.executors.executor import Item, Result, Shared
from hlsgen.executors.worker import receive, send
from hlsgen.host.processes import end

TRIES = 3
"""Workers that an item may lose before the run is given up."""
_COMMAND = (sys.executable, "-m", "hlsgen.executors.worker")


class Processes:
    """So many processes."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        crew = _Crew(pickle.dumps((function, shared)), items)
        try:
            crew.start(min(self.workers, len(items)))
            for _ in items:
                index, fine, result = crew.results.get()
                if not fine:
                    raise result
                yield index, result
        finally:
            crew.stop()


class _Crew:
    """Workers of one run, each with a thread that talks to it."""

    def __init__(self, work: bytes, items: Sequence[Any]) -> None:
        self._work, self._items = work, items
        self.results: queue.Queue[tuple[int, bool, Any]] = queue.Queue()
        self._left: queue.Queue[int] = queue.Queue()
        self._lost = [0] * len(items)
        self._lock = threading.Lock()
        self._stopped = False
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._threads: list[threading.Thread] = []
        for index in range(len(items)):
            self._left.put(index)

    def start(self, workers: int) -> None:
        """Start them all."""
        for _ in range(workers):
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all processes, and all that they have started."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            end(process)  # type: ignore[arg-type]
        for _ in self._threads:
            self._left.put(-1)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        """One worker after another, as long as there are items."""
        index = self._left.get()
        while index >= 0 and (process := self._begin()) is not None:
            index = self._feed(process, index)
            with suppress(OSError):
                end(process)  # type: ignore[arg-type]
            with self._lock:
                self._processes.discard(process)

    def _begin(self) -> subprocess.Popen[bytes] | None:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
        # As many threads as there are workers would wait for each other.
        environ = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": paths}
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environ,
                start_new_session=True,
            )
            self._processes.add(process)
            return process

    def _feed(self, process: subprocess.Popen[bytes], index: int) -> int:
        """Give a worker items, from `index` on, until it is lost; the next item, or -1."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, self._work)
            while index >= 0:
                send(process.stdin, pickle.dumps(self._items[index]))
                self.results.put((index, *receive(process.stdout)))
                index = self._left.get()
        except (EOFError, OSError):
            self._lose(index, process)
            return self._left.get()
        finally:
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()
        return index

    def _lose(self, index: int, process: subprocess.Popen[bytes]) -> None:
        """A worker has ended while it had an item: another one gets it."""
        if self._stopped:
            return
        self._lost[index] += 1
        if self._lost[index] < TRIES:
            self._left.put(index)
            return
        code = process.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        problem = f"a worker process ended {how}, {TRIES} times with the same piece of work"
        error = ToolFailed(
            problem, _COMMAND, fix="look at the lines above; with too little memory, fewer --jobs"
        )
        self.results.put((index, False, error))
