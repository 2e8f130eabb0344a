# SPDX-License-Identifier: Apache-2.0
"""Every executor gives the same results; a lost worker costs nothing but time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import workers

from hlsgen.errors import Mismatch, Problem, ToolFailed, UsageError
from hlsgen.executors.choose import executor
from hlsgen.executors.executor import Executor, Serial, cut, ordered
from hlsgen.executors.processes import Processes


@pytest.mark.parametrize("runner", [Serial(), Processes(2)])
def test_results_come_once_for_each_item(runner: Executor) -> None:
    seen: list[int] = []
    found = ordered(runner.run(pow, 3, list(range(9))), 9, seen.append)
    assert found == [3**item for item in range(9)]
    assert seen == list(range(1, 10))


def test_workers_stay_and_what_is_shared_goes_to_them_once() -> None:
    processes, shared = Processes(1), [1]
    first = list(processes.run(workers.count, shared, [0, 0]))
    assert first == [(0, 2), (1, 3)]
    assert list(processes.run(workers.count, shared, [0])) == [(0, 4)]
    assert list(processes.run(workers.count, [1], [0])) == [(0, 2)]
    processes.close()


def test_nothing_to_do_starts_nothing() -> None:
    assert list(Processes(2).run(pow, 3, [])) == []


def test_an_error_of_a_worker_is_the_same_error_here() -> None:
    problem = Problem("image 3 differs", where="command 2", why="it does", fix="look")
    with pytest.raises(Mismatch) as caught:
        list(Processes(1).run(workers.fail, Mismatch(problem), [1]))
    assert caught.value.problems == (problem,)
    with pytest.raises(ToolFailed, match="g\\+\\+ failed") as failed:
        list(Processes(1).run(workers.fail, ToolFailed("g++ failed", ["g++", "x"], "line"), [1]))
    assert failed.value.command == ("g++", "x")


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    found = dict(Processes(2).run(workers.die_once, str(tmp_path), list(range(5))))
    assert (tmp_path / "killed").exists()
    assert found == {item: 10 * item for item in range(5)}


def test_an_item_that_kills_every_worker_ends_the_run() -> None:
    with pytest.raises(ToolFailed, match="ended by signal 9, 3 times with the same piece of work"):
        list(Processes(2).run(workers.die, None, [0, 1, 2]))


def test_what_a_function_prints_is_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(Processes(1).run(workers.talk, None, [7])) == [(0, 7)]
    assert "a line that is no message" in capfd.readouterr().err


def test_nothing_outlives_a_run_that_is_left(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    script = (
        "import sys, threading, time, os, signal\n"
        "from support.workers import wait\nfrom pathlib import Path\n"
        "from hlsgen.executors.processes import Processes\n"
        f"place = Path({str(place)!r})\n"
        "def later():\n"
        "    while not (place.exists() and place.read_text()): time.sleep(0.05)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=later, daemon=True).start()\n"
        "list(Processes(1).run(wait, place, [1]))\n"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # The child of the worker holds the same pipe: there is an end of the text only once the child is gone.
    assert "KeyboardInterrupt" in done.stderr


def test_work_is_cut_into_even_parts() -> None:
    assert cut(7, 3) == [range(2), range(2, 4), range(4, 7)]
    assert cut(2, 5) == [range(1), range(1, 2)]
    assert cut(0, 4) == []


def test_the_executor_that_is_asked_for() -> None:
    assert isinstance(executor(), Serial)
    assert isinstance(executor(1), Serial)
    assert executor(3).workers == 3


def test_an_error_keeps_its_problems_in_pickle() -> None:
    import pickle

    error = UsageError([Problem("one", fix="this"), Problem("two")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is UsageError
    assert again.problems == error.problems
    assert str(again) == str(error)
