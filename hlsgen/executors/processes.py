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
import weakref
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


class _Worker:
    """A process, and the work that it was sent last."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
        # As many threads as there are workers would wait for each other.
        environ = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": paths}
        self.process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, start_new_session=True
        )
        self._work: bytes | None = None

    def ask(self, work: bytes, item: Any) -> tuple[bool, Any]:
        """Whether it went well, and the result or the exception; raises `EOFError` or `OSError` when lost."""
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None
        assert answers is not None
        if self._work is not work:
            send(requests, work)
            self._work = work
        send(requests, pickle.dumps((item,)))
        return receive(answers)

    def end(self) -> None:
        """End it with all that it has started."""
        end(self.process)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close its pipes; whoever talks to it must have stopped."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Processes:
    """So many processes. They stay from run to run, with what they know; they end with this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._idle: list[_Worker] = []
        self._sent: tuple[Any, Any, bytes] = (None, None, b"")
        weakref.finalize(self, _end_all, self._idle)

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        if self._sent[0] is not function or self._sent[1] is not shared:
            self._sent = function, shared, pickle.dumps((function, shared))
        crew = _Crew(self._sent[2], items, self._idle)
        try:
            crew.start(min(self.workers, len(items)))
            for _ in items:
                index, fine, result = crew.results.get()
                if not fine:
                    raise result
                yield index, result
            crew.finish()
        finally:
            crew.stop()

    def close(self) -> None:
        """End the processes."""
        _end_all(self._idle)


def _end_all(workers: list[_Worker]) -> None:
    while workers:
        worker = workers.pop()
        worker.end()
        worker.close()


class _Crew:
    """Workers of one run, each with a thread that talks to it."""

    def __init__(self, work: bytes, items: Sequence[Any], idle: list[_Worker]) -> None:
        self._work, self._items, self._idle = work, items, idle
        self.results: queue.Queue[tuple[int, bool, Any]] = queue.Queue()
        self._left: queue.Queue[int] = queue.Queue()
        self._lost = [0] * len(items)
        self._lock = threading.Lock()
        self._stopped = False
        self._busy: set[_Worker] = set()
        self._threads: list[threading.Thread] = []
        for index in range(len(items)):
            self._left.put(index)

    def start(self, workers: int) -> None:
        """Start a thread for each worker."""
        for _ in range(workers):
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """All items are done: the workers wait for the next run."""
        for _ in self._threads:
            self._left.put(-1)
        for thread in self._threads:
            thread.join()
        self._idle += self._busy
        self._busy.clear()

    def stop(self) -> None:
        """End the workers that are at work, and all that they have started."""
        with self._lock:
            self._stopped = True
            workers = list(self._busy)
        for worker in workers:
            worker.end()
        self.finish()
        with self._lock:
            for worker in workers:
                worker.close()
                self._idle.remove(worker)

    def _serve(self) -> None:
        """One worker after another, as long as there are items."""
        index = self._left.get()
        while index >= 0 and (worker := self._worker()) is not None:
            index = self._feed(worker, index)

    def _worker(self) -> _Worker | None:
        with self._lock:
            if self._stopped:
                return None
            worker = self._idle.pop() if self._idle else _Worker()
            self._busy.add(worker)
            return worker

    def _feed(self, worker: _Worker, index: int) -> int:
        """Give a worker items, from `index` on, until it is lost; the next item, or -1."""
        try:
            while index >= 0:
                self.results.put((index, *worker.ask(self._work, self._items[index])))
                index = self._left.get()
        except (EOFError, OSError):
            self._lose(index, worker)
            return self._left.get()
        return index

    def _lose(self, index: int, worker: _Worker) -> None:
        """A worker has ended while it had an item: another one gets it."""
        with self._lock:
            if self._stopped:
                return
            self._busy.discard(worker)
        worker.end()
        worker.close()
        self._lost[index] += 1
        if self._lost[index] < TRIES:
            self._left.put(index)
            return
        code = worker.process.returncode
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        problem = f"a worker process ended {how}, {TRIES} times with the same piece of work"
        fix = "look at the lines above; with too little memory, fewer --jobs"
        self.results.put((index, False, ToolFailed(problem, _COMMAND, fix=fix)))
