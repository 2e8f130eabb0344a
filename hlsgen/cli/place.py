# SPDX-License-Identifier: Apache-2.0
"""Files that a verb writes: looked at before the work, written after it."""

from __future__ import annotations

import os
from pathlib import Path

from hlsgen.errors import Problem, UsageError, written_badly
from hlsgen.errors.codes import Code


def check_file(place: str | None) -> None:
    """Raise `UsageError` where no file can be written; nothing is written yet."""
    if place is None:
        return
    path = Path(place)
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path} must be a file, not a folder", code=Code.WRITE)
    if not folder.is_dir():
        why = f"there is no folder {folder}"
        raise UsageError(Problem(f"{path} can't be written", why=why, fix="make the folder"), code=Code.WRITE)
    if not os.access(path if path.exists() else folder, os.W_OK):
        problem = Problem(f"{path} can't be written", why="permission denied", fix="choose another file")
        raise UsageError(problem, code=Code.WRITE)


def write_file(place: Path, text: str) -> None:
    """Write a text; raises `UsageError`."""
    try:
        place.write_text(text, "utf-8")
    except OSError as error:
        found = written_badly(error)
        raise found or UsageError(f"{place} can't be written: {error.strerror}", code=Code.WRITE) from None
