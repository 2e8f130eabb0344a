# SPDX-License-Identifier: Apache-2.0
"""The tools that a build needs: found, run, and ended when they take too long."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hlsgen.errors import Problem, ToolFailed, ToolMissing, ToolTimedOut

POLL_SECONDS = 0.2
"""How often a running tool looks whether it is to stop."""


def find_tools(tools: Mapping[str, Sequence[str]], fix: str) -> list[str]:
    """`VARIABLE=path` for the first installed tool of each kind; `ToolMissing` names all that aren't."""
    found, missing = [], []
    for variable, names in {**tools, "": ("make",)}.items():
        wanted = [os.environ[variable]] if variable and os.environ.get(variable) else names
        path = next(filter(None, (shutil.which(name, path=search_path()) for name in wanted)), None)
        if path is None:
            missing.append(
                Problem(f"{' or '.join(wanted)} not found", fix=fix if variable else "apt-get install make")
            )
        elif variable:
            found.append(f"{variable}={path}")
    if missing:
        raise ToolMissing(missing)
    return found


def search_path() -> str:
    """PATH with this Python's folder first: its environment's tools are found though it isn't active."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


class Stopped(Exception):
    """A tool was ended because nobody waits for it any more."""


def make(folder: Path, arguments: Sequence[str], limit: float, stop: threading.Event | None = None) -> None:
    """Run the project's Makefile; raises as `run_tool`."""
    run_tool(["make", "--no-print-directory", *arguments], folder, limit, stop)


def run_tool(command: Sequence[str], folder: Path, limit: float, stop: threading.Event | None = None) -> str:
    """What a command printed.

    Raises `ToolFailed` when it fails, `ToolTimedOut` when it takes longer than `limit` seconds, and `Stopped`
    once another thread has set `stop`.
    """
    environment = {**os.environ, "PATH": search_path()}
    # A make that started us would pass its own settings and job server on.
    for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(inherited, None)
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise ToolMissing(f"{command[0]} not found") from None
    with process:
        try:
            output = _output(process, command, limit, stop or threading.Event())
        except BaseException:
            # make's children hold the pipe open: the whole group has to end.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode:
        raise ToolFailed(f"{Path(command[0]).name} failed ({process.returncode})", command, output)
    return output


def _output(
    process: subprocess.Popen[str], command: Sequence[str], limit: float, stop: threading.Event
) -> str:
    end = time.monotonic() + limit
    while not stop.is_set():
        left = end - time.monotonic()
        if left <= 0:
            raise ToolTimedOut(f"{Path(command[0]).name} must end within {limit:g} s", command)
        try:
            return process.communicate(timeout=min(left, POLL_SECONDS))[0]
        except subprocess.TimeoutExpired:
            pass
    raise Stopped
