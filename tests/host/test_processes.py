# SPDX-License-Identifier: Apache-2.0
"""Tools end with whoever started them: no child is left, whatever ends the call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from hlsgen.bitstream.project import FORMAT
from hlsgen.boards import load_board
from hlsgen.emit.ecp5.project import ecp5_project
from hlsgen.host import processes
from hlsgen.store.files import sha256

MOCKS = Path(__file__).parents[1] / "mock_tools"
MARK = "HLSGEN_TEST_MARK"
DEAF = "trap '' TERM HUP INT; sleep 60 & sleep 60"
VERILOG = """module ecp5_top(clk25, led);
  input clk25;
  output [7:0] led;
endmodule
"""


def _default_signals() -> None:
    """In a child: what started the tests may ignore them (`nohup`, a shell's `&`)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _left(mark: str) -> list[str]:
    """Command lines of the processes whose environment has the mark, ours apart."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if marked and int(folder.name) != os.getpid():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended
            continue
    return [line for line in found if line]  # a zombie has none


def _until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["seconds", "stop", "exception"])
def test_a_tool_that_does_not_want_to_end_is_ended_with_its_children(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    mark = uuid.uuid4().hex
    environ = {**os.environ, MARK: mark}
    stop = threading.Event()
    command = ["sh", "-c", DEAF]
    if how == "seconds":
        with pytest.raises(processes.OutOfTime):
            processes.run(command, tmp_path, environ=environ, seconds=0.5)
    elif how == "stop":
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(processes.Stopped):
            processes.run(command, tmp_path, environ=environ, stop=stop)
    else:
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(processes.Ended, match="SIGTERM") as caught, processes.signals_end():
            processes.run(command, tmp_path, environ=environ)
        assert caught.value.exit_code == 143
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    _until(lambda: not _left(mark), 5)


def test_output_and_exit_code_come_back(tmp_path: Path) -> None:
    assert processes.run(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path) == (3, "out\nerr\n")
    with (tmp_path / "log").open("w") as log:
        assert processes.run(["sh", "-c", "echo out"], tmp_path, log=log) == (0, "")
    assert (tmp_path / "log").read_text() == "out\n"
    with pytest.raises(FileNotFoundError):
        processes.run(["no-such-tool"], tmp_path)


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.signals_end():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def _project(place: Path) -> None:
    """An exported project, without what only matters to real tools."""
    files = ecp5_project(load_board("ulx3s-85f"), VERILOG)
    place.mkdir()
    for path, text in files.items():
        (place / path).write_text(text)
    digests = {path: sha256(text.encode()) for path, text in files.items()}
    document = {"format": FORMAT, "board": "ulx3s-85f", "family": "ecp5", "design": "", "files": digests}
    (place / "project.json").write_text(json.dumps(document))


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_to_hlsgen_bitstream_ends_its_tools(tmp_path: Path, name: str, code: int) -> None:
    place, mark = tmp_path / "project", uuid.uuid4().hex
    _project(place)
    tools = {"YOSYS": "yosys", "NEXTPNR": "nextpnr-ecp5", "PACK": "ecppack"}
    environ = os.environ | {variable: str(MOCKS / tool) for variable, tool in tools.items()}
    command = [sys.executable, "-m", "hlsgen", "bitstream", str(place), "--jobs", "2"]
    calls = place / "calls.txt"
    with subprocess.Popen(
        command,
        env=environ | {MARK: mark, "MOCK_MHZ": "hang hang hang"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_default_signals,
    ) as process:
        _until(lambda: calls.is_file() and calls.read_text().count("nextpnr-ecp5 ") == 2)
        assert any("nextpnr" in line for line in _left(mark))
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.splitlines()[-1] == f"hlsgen: {'interrupted' if name == 'SIGINT' else f'ended by {name}'}"
    assert "Traceback" not in errors
    _until(lambda: not _left(mark), 5)


ENTRY = """
import os, signal, sys, hlsgen.cli as cli
from hlsgen.cli.answer import Answer
{body}
cli._answer = answer
sys.argv = ["hlsgen", "ops"]
cli.entry()
"""
BEFORE = "def answer(_):\n    os.kill(os.getpid(), signal.{name})\n    return Answer({{}}, 'done')"
AFTER = """
import atexit
def late():
    os.kill(os.getpid(), signal.{name})
    print("late")
atexit.register(late)
def answer(_):
    return Answer({{}}, 'done')
"""


END = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 0))
def answer(_):
    return Answer({}, 'done')
"""


def test_the_end_of_the_command_does_not_search_for_garbage() -> None:
    command = [sys.executable, "-c", ENTRY.format(body=END)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "done\nTrue\n"


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_ends_the_command_until_its_work_is_done(name: str, code: int) -> None:
    for body, expected, shown in ((BEFORE, code, ""), (AFTER, 0, "done\nlate\n")):
        script = ENTRY.format(body=body.format(name=name))
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, preexec_fn=_default_signals
        )
        assert (done.returncode, done.stdout) == (expected, shown), done.stderr
        assert "Traceback" not in done.stderr
