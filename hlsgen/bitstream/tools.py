# SPDX-License-Identifier: Apache-2.0
"""The tools that a build needs: found, run, and ended when they take too long."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hlsgen.errors import Problem, ToolMissing
from hlsgen.host import processes


def find_tools(tools: Mapping[str, Sequence[str]], fix: str) -> list[str]:
    """`VARIABLE=path`, quoted for make, for the first installed tool of each kind.

    Raises `ToolMissing` with all that aren't there.
    """
    found, missing = [], []
    for variable, names in {**tools, "": ("make",)}.items():
        wanted = [os.environ[variable]] if variable and os.environ.get(variable) else names
        path = next(filter(None, (shutil.which(name, path=search_path()) for name in wanted)), None)
        if path is None:
            missing.append(
                Problem(f"{' or '.join(wanted)} not found", fix=fix if variable else "apt-get install make")
            )
        elif variable:
            found.append(f"{variable}={shlex.quote(path).replace('$', '$$')}")
    if missing:
        raise ToolMissing(missing)
    return found


def search_path() -> str:
    """PATH with this Python's folder first: its environment's tools are found though it isn't active."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def make(folder: Path, arguments: Sequence[str], limit: float, stop: threading.Event | None = None) -> None:
    """Run the project's Makefile; raises as `run_tool`."""
    run_tool(["make", "--no-print-directory", *arguments], folder, limit, stop)


def run_tool(command: Sequence[str], folder: Path, limit: float, stop: threading.Event | None = None) -> str:
    """What a command printed.

    Raises as `hlsgen.host.processes.run_tool`; `limit` is in seconds.
    """
    environment = {**os.environ, "PATH": search_path()}
    # A make that started us would pass its own settings and job server on.
    for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(inherited, None)
    return processes.run_tool(command, folder, environ=environment, seconds=limit, stop=stop)
