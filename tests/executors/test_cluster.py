# SPDX-License-Identifier: Apache-2.0
"""Dask, on a real cluster of four processes: the same results as here, also where one of them is killed."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.explored import mortal, space, subject
from support.workers import die, fail

from hlsgen.errors import Mismatch, Problem, ToolFailed, ToolMissing, UsageError
from hlsgen.executors import cluster
from hlsgen.executors.choose import executor
from hlsgen.executors.cluster import Dask, queue_cluster
from hlsgen.executors.executor import Serial
from hlsgen.explore.evaluate import evaluate_all
from hlsgen.explore.exploration import explore
from hlsgen.explore.front import front

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Four worker processes; each that is lost is replaced."""
    from distributed import LocalCluster

    tests = str(Path(__file__).resolve().parents[1])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([tests, *filter(None, sys.path)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": None}
        found: Any = LocalCluster(n_workers=4, processes=True, **options)
        with found:
            yield found.scheduler_address
        del found
        gc.collect()  # its sockets, and not in another module's test
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What Dask leaves is collected here, and not in a test to which a warning is an error.

    No client is left: one that loses its scheduler goes on calling it, also in other modules' tests.
    """
    from distributed import Client

    yield
    gc.collect()
    assert [client.status for client in Client._instances if client.status != "closed"] == []


@pytest.fixture
def dask(address: str) -> Iterator[Dask]:
    """It is closed after the test."""
    found = Dask(address)
    yield found
    found.close()


class _Mortal:
    """Dask, with work that kills one of its workers."""

    def __init__(self, dask: Dask, mark: Path) -> None:
        self._dask, self._mark = dask, mark
        self.workers = self._dask.workers
        self._shared: Any = None

    def run(self, function: Any, shared: Any, items: Any) -> Iterator[tuple[int, Any]]:
        assert function is evaluate_all
        self._shared = self._shared or (shared, str(self._mark))
        yield from self._dask.run(mortal, self._shared, items)


def test_all_workers_share_the_work(address: str) -> None:
    dask = executor(dask=address)
    assert isinstance(dask, Dask)
    assert dask.workers == 4
    found = dict(dask.run(pow, 3, list(range(40))))
    dask.close()
    assert found == {item: 3**item for item in range(40)}


def test_a_killed_worker_changes_nothing(dask: Dask, tmp_path: Path) -> None:
    model = subject(8, 10)
    choices = space(model)
    here = explore(model, choices, points=60, executor=Serial())
    mark = tmp_path / "killed"
    there = explore(model, choices, points=60, executor=_Mortal(dask, mark))
    assert mark.exists()
    assert there.found == here.found
    assert list(there.found) == list(here.found)
    assert there.front == here.front == tuple(front(here.found.values()))
    assert there.best == here.best


def test_an_error_of_a_worker_is_the_same_error_here(dask: Dask) -> None:
    problem = Problem("image 3 differs", why="it does", fix="look")
    with pytest.raises(Mismatch) as caught:
        list(dask.run(fail, Mismatch(problem), [1, 2]))
    assert caught.value.problems == (problem,)


def test_an_item_that_kills_every_worker_ends_the_run(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TRIES", 1)
    with pytest.raises(ToolFailed, match="lost 1 times with the Dask worker"):
        list(dask.run(die, None, [0, 1, 2]))


def test_workers_of_another_version_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = []

    def seen(client: Any, seconds: float) -> None:
        clients.append(client)
        check(client, seconds)

    check = cluster._check_workers
    monkeypatch.setattr(cluster, "_check_workers", seen)
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(UsageError, match=r"must have hlsgen 0\.0\.1"):
        Dask(address)
    (client,) = clients
    assert client.status == "closed"


def test_an_address_without_a_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 1)
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        Dask("tcp://127.0.0.1:9")


@pytest.mark.parametrize(("place", "package"), [("tcp://x:1", "distributed"), ("sge", "dask-jobqueue")])
def test_without_dask(place: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(ToolMissing, match=f"the Python package {package} is missing") as caught:
        Dask(place)
    assert caught.value.problems[0].fix == "pip install 'hlsgen[cluster]'"


@pytest.mark.parametrize(
    ("queue", "line"), [("slurm", "#SBATCH --mem=2G"), ("lsf", "#BSUB -n 1"), ("sge", "#$ -N dask-worker")]
)
def test_jobs_of_a_queueing_system(queue: str, line: str) -> None:
    with queue_cluster(queue, cores=1, memory="2GB") as found:
        text = found.job_script()
    assert line in text
    assert "distributed.cli.dask_worker" in text or "dask worker" in text


def test_a_queue_that_nobody_described() -> None:
    with pytest.raises(UsageError, match="jobs of slurm must be described") as caught:
        queue_cluster("slurm")
    assert "jobqueue.yaml" in caught.value.problems[0].fix
