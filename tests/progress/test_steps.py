# SPDX-License-Identifier: Apache-2.0
"""Steps: told to whoever listens, with their place in the plan, their amounts and their logs."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from hlsgen.errors import ToolFailed, ToolTimedOut
from hlsgen.host.processes import run_tool
from hlsgen.progress import steps
from hlsgen.progress.steps import Listener, Step


class Noted(Listener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, step: Step) -> None:
        self.told.append(f"{step.number}/{step.of} {step.name}")

    def end(self, step: Step) -> None:
        self.told.append(f"end {step.name} {step.done} of {step.total}")

    def say(self, text: str) -> None:
        self.told.append(text)


def test_planned_steps_have_numbers_and_others_are_details() -> None:
    noted = Noted()
    with steps.listening(noted):
        steps.plan("load", "run")
        with steps.step("load"):
            pass
        with steps.step("run", 5) as told:
            with steps.step("inner"):
                assert [step.name for step in steps.open_steps()] == ["run", "inner"]
            assert [len(part) for part in told.parts([1, 2, 3, 4, 5], 2)] == [2, 2, 1]
            steps.say("a line")
    assert noted.told == [
        "1/2 load", "end load 0 of 0", "2/2 run", "0/0 inner", "end inner 0 of 0", "a line", "end run 5 of 5"
    ]  # fmt: skip
    assert not steps.open_steps()


def test_a_plan_lasts_as_long_as_its_listener() -> None:
    for _ in range(2):
        noted = Noted()
        with steps.listening(noted):
            steps.plan("a")
            with steps.listening(Listener()), steps.step("a"):  # one more does not make the plan anew
                pass
        assert noted.told[0] == "1/1 a"


def test_an_error_ends_its_step() -> None:
    noted = Noted()
    with pytest.raises(ZeroDivisionError), steps.listening(noted), steps.step("a"):
        raise ZeroDivisionError
    assert noted.told == ["0/0 a", "end a 0 of 0"]
    assert not steps.open_steps()


def test_time_left_follows_the_rate() -> None:
    step = Step("a", total=10)
    assert step.seconds_left is None
    step.begun -= 20
    step.count = lambda: 4
    step.refresh()
    assert step.done == 4
    assert step.seconds_left == pytest.approx(30, rel=0.01)
    step.count = lambda: 99
    step.refresh()
    assert step.done == 10


def test_the_output_of_a_tool_is_in_the_log_of_its_step_and_its_failure_names_it(tmp_path: Path) -> None:
    logs = tmp_path / "my logs"
    command = [sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"]
    with steps.listening(Listener()):
        steps.logs_in(logs)
        with steps.step("place and route"):
            assert run_tool([sys.executable, "-c", "print('before')"], tmp_path) == "before\n"
            with pytest.raises(ToolFailed) as caught:
                run_tool(command, tmp_path)
    log = logs / "place-and-route.log"
    (problem,) = caught.value.problems
    assert problem.log == str(log)
    assert "one" in problem.why
    assert "before" not in problem.why
    text = log.read_text()
    assert text.index("before") < text.index("one") < text.index("# exit code 3")
    with steps.listening(Listener()):
        steps.logs_in(logs)
        with steps.step("place and route"):
            run_tool([sys.executable, "-c", "print('new')"], tmp_path)
    assert "before" not in log.read_text()  # a run begins its logs anew


def test_what_a_tool_said_before_it_took_too_long_is_in_the_log(tmp_path: Path) -> None:
    script = "import time; print('begun', flush=True); time.sleep(60)"
    with steps.listening(Listener()):
        steps.logs_in(tmp_path)
        with steps.step("slow"), pytest.raises(ToolTimedOut) as caught:
            run_tool([sys.executable, "-c", script], tmp_path, seconds=2)
    assert "begun" in Path(caught.value.problems[0].log).read_text()


def test_no_logs_are_kept_without_a_listener_or_where_nothing_can_be_written(tmp_path: Path) -> None:
    steps.logs_in(tmp_path / "logs")
    assert steps.log_file("tool") is None
    (tmp_path / "file").write_text("")
    with steps.listening(Listener()):
        steps.logs_in(tmp_path / "file" / "logs")
        assert steps.log_file("tool") is None
        assert run_tool([sys.executable, "-c", "print('well')"], tmp_path) == "well\n"


def test_threads_have_logs_of_their_own(tmp_path: Path) -> None:
    found, both = {}, threading.Barrier(2)

    def work(name: str) -> None:
        with steps.step(name):
            both.wait(10)
            found[name] = steps.log_file("tool")
            both.wait(10)

    with steps.listening(Listener()):
        steps.logs_in(tmp_path)
        with steps.step("all"):
            threads = [threading.Thread(target=work, args=(f"seed {seed}",)) for seed in (1, 2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert found == {f"seed {seed}": tmp_path / f"seed-{seed}.log" for seed in (1, 2)}
