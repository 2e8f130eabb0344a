# SPDX-License-Identifier: Apache-2.0
"""Steps on stderr: plain lines, a live line on a terminal, nothing when it is to be quiet."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hlsgen.cli import main
from hlsgen.progress import lines, steps
from hlsgen.progress.lines import Lines
from hlsgen.progress.show import is_live, shown
from hlsgen.progress.steps import Step
from hlsgen.progress.words import QUIET, VERBOSE, amount, clock, tail


def _until(stream: io.StringIO, text: str) -> str:
    end = time.monotonic() + 10
    while text not in stream.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    return stream.getvalue()


def test_planned_steps_are_lines_and_silence_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SILENCE_SECONDS", 0.05)
    stream = io.StringIO()
    with shown(stream, "simulate"):
        steps.plan("build", "simulate")
        with steps.step("build"), steps.step("compile"):
            assert "hlsgen: 1/2 build: compile: 0 s\n" in _until(stream, "compile: 0 s\n")
        with steps.step("simulate", 16) as told:
            told.advance(4)
            assert "4 of 16 images, 0 s, about 0 s left" in _until(stream, "left")
    said = stream.getvalue().splitlines()
    assert said[0] == "hlsgen: 1/2 build"
    assert "hlsgen: 2/2 simulate" in said


def test_without_a_step_the_first_line_names_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "FIRST_SECONDS", 0.05)
    stream = io.StringIO()
    with shown(stream, "doctor"):
        assert _until(stream, "\n").startswith("hlsgen: doctor\n")


def test_quiet_says_nothing_and_verbose_all(tmp_path: Path) -> None:
    stream = io.StringIO()
    with shown(stream, "x", QUIET), steps.step("a"):
        steps.say("a line")
    assert stream.getvalue() == ""
    with shown(stream, "x", VERBOSE):
        steps.logs_in(tmp_path)
        with steps.step("a", 2) as told:
            steps.detail("a detail")
            assert steps.log_file("tool") == tmp_path / "a.log"
            told.advance(2)
    assert stream.getvalue().splitlines()[:2] == ["hlsgen: a", "hlsgen: a detail"]
    assert stream.getvalue().splitlines()[-1].startswith("hlsgen: a: 2 images, 0.")
    assert stream.getvalue().endswith(f", log {tmp_path / 'a.log'}\n")


def test_a_closed_stream_ends_no_work() -> None:
    stream = io.StringIO()
    stream.close()
    listener = Lines(stream, "x")
    listener.say("nobody reads it")


def test_words(tmp_path: Path) -> None:
    assert (clock(59.4), clock(61)) == ("59 s", "1 min 1 s")
    step = Step("a", total=8, unit="pages", log=tmp_path / "log")
    assert amount(step) == "0 of 8 pages, 0 s"
    assert tail(step) == ""
    (tmp_path / "log").write_text("$ make\nABC \x1b[31mpass\n\n")
    assert tail(step) == "ABC  [31mpass"
    (tmp_path / "log").write_text("$ make\n")
    assert tail(step) == ""
    step.watched = tmp_path / "nextpnr.log"
    (tmp_path / "nextpnr.log").write_text("Info: Routed 10 arcs\n")
    assert tail(step) == "Info: Routed 10 arcs"


def test_a_live_line_needs_a_terminal_that_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert is_live(Terminal())
    assert not is_live(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_live(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(Terminal())


LIVE = """
import sys, time
from hlsgen.progress import steps
from hlsgen.progress.show import shown
with shown(sys.stderr, "simulate"):
    steps.plan("build", "simulate")
    with steps.step("build"):
        time.sleep(0.6)
    with steps.step("simulate", 16) as told:
        told.advance(4)
        print("an answer in between", file=sys.stderr)
        time.sleep(0.6)
        steps.say("a line")
print("the answer")
"""


def test_on_a_terminal_a_line_moves_and_the_lines_above_stay() -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-c", LIVE], stdout=subprocess.PIPE, stderr=theirs, env=environ
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while data := os.read(ours, 1 << 16):
                seen += data
        except OSError:
            pass  # the other end is closed
        assert process.stdout is not None
        assert process.stdout.read() == b"the answer\n"
    os.close(ours)
    text = seen.decode()
    for part in ("1/2 build", "2/2 simulate", "4 of 16 images, ", "hlsgen: 1/2 build: 1 s", "hlsgen: a line"):
        assert part in text
    assert "an answer in between" in text
    assert "\x1b[" in text


def test_stdout_is_json_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for option in ("-q", "-v"):
        assert main(["init", "digits", "-o", str(tmp_path / f"{option}.toml"), "--json", option]) == 0
        assert capsys.readouterr().out.startswith("{\n")
    assert main(["ops", "-q", "-v"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
