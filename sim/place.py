# SPDX-License-Identifier: Apache-2.0
"""Where simulators are built: in the folder that was asked for, unless its tools can't work there."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from hlsgen.errors import Problem, UsageError
from hlsgen.store.cache import cache_folder

PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
"""Paths that make, Verilator and the makefiles between them take; to make a space parts two names."""


def build_place(folder: Path, *, plain: bool = True) -> Path:
    """`folder` if it can be written and, with `plain`, has a path that make takes; else the user's cache.

    Where that won't do either, it is a temporary folder, which ends with this process. Raises `UsageError`
    when nothing can be written.
    """
    for candidate in (folder, cache_folder()):
        place = candidate.resolve()
        if (not plain or PLAIN.fullmatch(str(place))) and _writable(place):
            return place
    return _temporary()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _temporary() -> Path:
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if PLAIN.fullmatch(str(Path(parent).resolve())) and _writable(Path(parent)):
            place = Path(tempfile.mkdtemp(prefix="hlsgen-", dir=parent)).resolve()
            atexit.register(shutil.rmtree, place, ignore_errors=True)
            return place
    raise UsageError(
        Problem(
            "a folder must be there in which simulators can be built",
            why="make takes only paths of letters, digits and _./+-, and the folder must be writable",
            fix="set HLSGEN_CACHE to such a folder",
        )
    )
