# SPDX-License-Identifier: Apache-2.0
"""Dask: many machines, by a scheduler's address or as jobs of Slurm, LSF or SGE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        self._place, self._jobs = place, jobs or 1
        _package("dask_jobqueue" if place in QUEUES else "distributed")
        with self._client() as client:
            self.workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """See `Executor`."""
        with self._client() as client:
            yield from _Run(client, function, shared, items).results()

    @contextmanager
    def _client(self) -> Iterator[Any]:
        distributed = _package("distributed")
        with self._scheduler() as address:
            try:
                client = distributed.Client(address, timeout=WAIT_SECONDS, set_as_default=False)
            except (OSError, ValueError, TimeoutError) as error:
                what = f"no Dask scheduler answers at {self._place}"
                fix = "give the address that `dask scheduler` prints, such as tcp://head:8786"
                raise UsageError(Problem(what, why=str(error) or type(error).__name__, fix=fix)) from None
            with client:
                _check_workers(client, FIRST_SECONDS if self._place in QUEUES else WAIT_SECONDS)
                yield client

    @contextmanager
    def _scheduler(self) -> Iterator[Any]:
        if self._place not in QUEUES:
            yield self._place
            return
        with queue_cluster(self._place) as cluster:
            cluster.scale(jobs=self._jobs)
            yield cluster


def queue_cluster(name: str, **options: Any) -> Any:
    """The cluster of a queueing system; options beside the user's configuration are dask-jobqueue's."""
    kind = getattr(_package("dask_jobqueue"), QUEUES[name])
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(
            Problem(
                f"jobs of {name} must be described",
                why=" ".join(str(error).split()),
                fix=f"write jobqueue.{name}: cores, memory, walltime into ~/.config/dask/jobqueue.yaml",
            )
        ) from None


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


class _Run:
    """One call of `Dask.run`."""

    def __init__(self, client: Any, function: Any, shared: Any, items: Sequence[Any]) -> None:
        self._client, self._function, self._items = client, function, items
        self._shared_value = shared
        self._shared: Any = None
        self._futures: dict[Any, int] = {}
        self._tries = [0] * len(items)

    def results(self) -> Iterator[tuple[int, Any]]:
        """Each item's index and result, as they come."""
        distributed = _package("distributed")
        lost = list(range(len(self._items)))
        while lost:
            self._submit(lost)
            lost = []
            for future in distributed.as_completed(list(self._futures)):
                index = self._futures.pop(future)
                if future.status == "finished":
                    yield index, future.result()
                elif self._is_lost(future):
                    lost.append(index)
                else:
                    future.result()  # raises the function's error

    def _submit(self, lost: Sequence[int]) -> None:
        """Give items to the cluster; what they share lies on all workers, so that no loss of one counts."""
        for index in lost:
            self._tries[index] += 1
            if self._tries[index] > TRIES:
                what = f"a piece of work was lost {TRIES} times with the Dask worker that had it"
                raise ToolFailed(what, fix="look at the workers' logs; too little memory ends them as well")
        self._shared = self._client.scatter(self._shared_value, broadcast=True, hash=False)
        for index in lost:
            future = self._client.submit(self._function, self._shared, self._items[index], pure=False)
            self._futures[future] = index

    @staticmethod
    def _is_lost(future: Any) -> bool:
        if future.status in ("cancelled", "lost"):
            return True
        return type(future.exception()).__name__ in ("KilledWorker", "FutureCancelledError", "CancelledError")
