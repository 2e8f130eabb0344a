# SPDX-License-Identifier: Apache-2.0
"""Tools as child processes, each with all that it starts: none outlives the call, whatever ends it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from hlsgen.errors import ToolFailed, ToolMissing, ToolTimedOut
from hlsgen.progress import steps

POLL_SECONDS = 0.2
"""How often a running tool looks whether it is to stop."""
GRACE_SECONDS = 2.0
"""How long a tool may take to end when it is asked to, before it is killed."""
_ENDING = ("SIGTERM", "SIGHUP")


class Ended(BaseException):
    """A signal asked this process to end; as with `KeyboardInterrupt` only the command line catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Stopped(Exception):
    """A tool was ended because nobody waits for it any more."""


class OutOfTime(Exception):
    """A tool was ended because it took too long."""


@contextmanager
def signals_end(*, last: bool = False) -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Ended` in the main thread, so that everything is cleaned up on the way.

    Signals that the caller ignores (`nohup`) or handles stay as they are. last: the process does nothing
    afterwards; it ignores the signals then, SIGINT too, and ends with the exit code of what it has done.
    """
    found = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    main = threading.current_thread() is threading.main_thread()
    mine = [number for number in found if main and signal.getsignal(number) == signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        for each in mine:
            signal.signal(each, signal.SIG_IGN)  # cleaning up is not to be interrupted
        raise Ended(number)

    for number in mine:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_IGN if last else signal.SIG_DFL)
        if last and main:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_tool(
    command: Sequence[str],
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    failure: str = "",
) -> str:
    """What a command printed.

    Raises `ToolMissing` where it isn't there, `ToolFailed` when it fails, `ToolTimedOut` when it takes longer
    than `seconds`, and `Stopped` once another thread has set `stop`. failure: how its failure reads.
    """
    name = Path(command[0]).name
    path = steps.log_file(name)
    steps.detail(shlex.join(command))
    try:
        if path is None:
            code, output = run(command, folder, environ=environ, seconds=seconds, stop=stop)
        else:
            code, output = _logged(path, command, folder, environ=environ, seconds=seconds, stop=stop)
    except FileNotFoundError:
        raise ToolMissing(f"{command[0]} not found") from None
    except OutOfTime:
        late = f"it took more than {seconds:g} s"
        what = f"{failure}: {late}" if failure else f"{name} failed: {late}"
        raise ToolTimedOut(what, command, log=path) from None
    if code:
        raise ToolFailed(f"{failure or f'{name} failed'} (exit code {code})", command, output, log=path)
    return output


def _logged(
    path: Path,
    command: Sequence[str],
    folder: Path,
    *,
    environ: Mapping[str, str] | None,
    seconds: float | None,
    stop: threading.Event | None,
) -> tuple[int, str]:
    """As `run`; the output goes into a step's log, where it can be followed while the command runs."""
    begun = time.monotonic()
    with path.open("a", encoding="utf-8", errors="replace") as log:
        log.write(f"$ cd {shlex.quote(str(folder))} && {shlex.join(command)}\n")
        log.flush()
        start = log.tell()
        code, _ = run(command, folder, environ=environ, seconds=seconds, stop=stop, log=log)
        with path.open("rb") as written:
            written.seek(start)
            output = written.read().decode("utf-8", "replace")
        log.seek(0, os.SEEK_END)
        log.write(f"# exit code {code}, {time.monotonic() - begun:.1f} s\n")
    return code, output


def run(
    command: Sequence[str],
    folder: Path,
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    log: IO[str] | None = None,
) -> tuple[int, str]:
    """Exit code and output of a command; the output goes to `log` instead where there is one.

    Raises `OutOfTime` after `seconds`, `Stopped` once another thread has set `stop`, and `OSError` where the
    command can't be started. However it is left, the command and all its children have ended.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            output = _output(process, seconds, stop)
        except BaseException:
            end(process)
            raise
    return process.returncode, output or ""


def _output(process: subprocess.Popen[str], seconds: float | None, stop: threading.Event | None) -> str:
    last = None if seconds is None else time.monotonic() + seconds
    while stop is None or not stop.is_set():
        left = POLL_SECONDS if last is None else last - time.monotonic()
        if left <= 0:
            raise OutOfTime
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=min(left, POLL_SECONDS))[0]
    raise Stopped


def end(process: subprocess.Popen[str]) -> None:
    """End a process that leads a session, and all of its children: a word first, then by force."""
    try:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    finally:  # a second Ctrl-C shortens the wait
        _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()


def _signal(process: subprocess.Popen[str], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)  # the children hold the pipe open: the whole group has to end
        else:
            process.kill()
