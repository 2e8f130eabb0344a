# SPDX-License-Identifier: Apache-2.0
"""Dask: many machines, by a scheduler's address or as jobs of Slurm, LSF or SGE."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from hlsgen.errors import Problem, ToolFailed, ToolMissing, UsageError
from hlsgen.executors.executor import Item, Result, Shared
from hlsgen.version import __version__

QUEUES = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
"""Queueing systems by the names that `--dask` takes, and their classes of dask-jobqueue."""
TRIES = 3
"""How often an item may be given to the cluster again, after it was lost."""
WAIT_SECONDS = 30
"""How long a scheduler may take to answer."""
FIRST_SECONDS = 600
"""How long the first job of a queue may take to begin."""


class Dask:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    place
        The address of a scheduler, such as `tcp://head:8786`, or `slurm`, `lsf` or `sge`: jobs as the user's
        configuration of dask-jobqueue describes them.
    jobs
        Jobs of a queueing system.

    Raises `ToolMissing` where Dask is not installed, and `UsageError` for a place that does not answer, for
    workers without this version of hlsgen, and for a queue that is not configured.
    """

    def __init__(self, place: str, jobs: int | None = None) -> None:
        with ExitStack() as opened:
            self._client = _connect(opened, place, jobs or 1)
            self._open = opened.pop_all()  # an error before this closes all: a client that is left calls on
        there = len(self._client.scheduler_info(n_workers=-1)["workers"])
        self.workers = max(1, there, (jobs or 1) if place in QUEUES else 1)  # jobs of a queue come one by one
        self._sent: tuple[Any, Any] = (None, None)

    def close(self) -> None:
        """Leave the scheduler; jobs of a queue end. At the end of the process this happens by itself."""
        self._open.close()

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`. What is shared is sent again only where it is another object, or was lost."""
        distributed, tries = _package("distributed"), [0] * len(items)
        lost, futures = list(range(len(items))), dict[Any, int]()
        try:
            while lost:
                futures = self._submit(function, self._place_of(shared, again=any(tries)), items, lost, tries)
                lost = []
                for future in distributed.as_completed(list(futures), loop=self._client.loop):
                    index = futures.pop(future)
                    if future.status == "finished":
                        yield index, future.result()
                    elif _is_lost(future):
                        lost.append(index)
                    else:
                        future.result()  # raises the function's error
        finally:
            self._client.cancel(list(futures))

    def _place_of(self, shared: Any, *, again: bool) -> Any:
        """It lies on all workers, so that no loss of one counts."""
        if again or self._sent[0] is not shared:
            self._sent = shared, self._client.scatter(shared, broadcast=True, hash=False)
        return self._sent[1]

    def _submit(
        self, function: Any, shared: Any, items: Sequence[Any], lost: Sequence[int], tries: list[int]
    ) -> dict[Any, int]:
        for index in lost:
            tries[index] += 1
            if tries[index] > TRIES:
                what = f"a piece of work was lost {TRIES} times with the Dask worker that had it"
                raise ToolFailed(what, fix="look at the workers' logs; too little memory ends them as well")
        return {self._client.submit(function, shared, items[index], pure=False): index for index in lost}


def _connect(opened: ExitStack, place: str, jobs: int) -> Any:
    """The client, and the jobs of a queue; `opened` closes both."""
    queued = place in QUEUES
    distributed = _package("dask_jobqueue" if queued else "distributed") and _package("distributed")
    where: Any = place
    if queued:
        where = opened.enter_context(queue_cluster(place))
        where.scale(jobs=jobs)
    try:
        client = distributed.Client(where, timeout=WAIT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        what = f"no Dask scheduler answers at {place}"
        fix = "give the address that `dask scheduler` prints, such as tcp://head:8786"
        raise UsageError(Problem(what, why=str(error) or type(error).__name__, fix=fix)) from None
    opened.enter_context(client)
    _check_workers(client, FIRST_SECONDS if queued else WAIT_SECONDS)
    return client


def queue_cluster(name: str, **options: Any) -> Any:
    """The cluster of a queueing system; options beside the user's configuration are dask-jobqueue's."""
    kind = getattr(_package("dask_jobqueue"), QUEUES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of a cluster that is half made
        try:
            return kind(**options)
        except (TypeError, ValueError) as error:
            why = " ".join(str(error).split())
        gc.collect()
    fix = f"write jobqueue.{name}: cores, memory, walltime into ~/.config/dask/jobqueue.yaml"
    raise UsageError(Problem(f"jobs of {name} must be described", why=why, fix=fix))


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        what = f"the Python package {name.replace('_', '-')} is missing"
        raise ToolMissing(Problem(what, fix="pip install 'hlsgen[cluster]'")) from None


def _version() -> str:
    from hlsgen.version import __version__

    return __version__


def _check_workers(client: Any, seconds: float) -> None:
    """Wait for a worker; raise `UsageError` unless all have this version."""
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        fix = "start some: `dask worker ADDRESS`; of a queue, look at its jobs"
        raise UsageError(Problem(f"no Dask worker came within {seconds:.0f} s", fix=fix)) from None
    found = client.run(_version, on_error="return")
    wrong = {name: value for name, value in found.items() if value != __version__}
    if wrong:
        name, value = next(iter(wrong.items()))
        why = f"{name} answers {value!r}" if isinstance(value, Exception) else f"{name} has {value}"
        fix = "install the same hlsgen for the workers"
        raise UsageError(Problem(f"Dask workers must have hlsgen {__version__}", why=why, fix=fix))


def _is_lost(future: Any) -> bool:
    if future.status in ("cancelled", "lost"):
        return True
    return type(future.exception()).__name__ in ("KilledWorker", "FutureCancelledError", "CancelledError")
