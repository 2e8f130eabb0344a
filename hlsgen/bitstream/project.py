# SPDX-License-Identifier: Apache-2.0
"""Projects on disk: where they lie, what they note about themselves, and whether they are as exported."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hlsgen.boards.families import find_family
from hlsgen.boards.read import load_board
from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.store.files import sha256
from hlsgen.store.folder import manifest
from hlsgen.store.paths import MANIFEST
from hlsgen.store.read import parse_document, read_bytes
from hlsgen.store.replace import Folder

FORMAT = "hlsgen project 2"
PROJECT = "project.json"
FIELDS = {"board": str, "family": str, "design": str, "files": dict}
"""Fields of `project.json` that are read, and their types."""
BOARDS = "boards"
"""Folder of the projects in a build folder."""
FIX = "hlsgen export makes one"


def project_folder(place: Path) -> Folder:
    """The project at a place, to be checked, read or replaced."""
    return Folder(place, PROJECT, "project")


def note(board: str, family: str, design: str, files: Mapping[str, bytes]) -> bytes:
    """The `project.json` of a project whose other files these are."""
    digests = {path: sha256(data) for path, data in sorted(files.items())}
    document = {"format": FORMAT, "board": board, "family": family, "design": design, "files": digests}
    return (json.dumps(document, indent=1) + "\n").encode()


def find_project(directory: Path) -> Path | None:
    """The project that DIR is or holds; nothing where DIR is a build folder without one."""
    if not (directory / MANIFEST).is_file():
        _read(directory, "must be a project or build folder")
        return directory
    projects = sorted(path.parent for path in (directory / BOARDS).glob(f"*/{PROJECT}"))
    if len(projects) <= 1:
        return projects[0] if projects else None
    own = directory / BOARDS / load_board(manifest(directory)["board"]).name
    if own in projects:
        return own
    raise UsageError(
        f"project must be one of {', '.join(map(str, projects))}, not all of them", code=Code.PROJECT
    )


def checked(place: Path) -> dict[str, Any]:
    """What `export` noted about a project.

    Raises `UsageError` unless it is as exported, and of the design that the build folder holds.
    """
    with project_folder(place).reading():
        document = _read(place, "must be a project")
        changed = [
            Problem(
                f"{place / path} must be as it was exported",
                why=why,
                fix="hlsgen export again; `make bitstream` in the project builds it as it is",
            )
            for path, digest in document["files"].items()
            if (why := _changed(place / path, digest))
        ]
    if changed:
        raise UsageError(changed, code=Code.STALE)
    if (home := _home(place)) is None:
        return document
    current = manifest(home)["design"]
    if current != document["design"]:
        raise UsageError(
            Problem(
                f"{place} must be a project of design {current[:12]}, not {document['design'][:12]}",
                why=f"{home} was compiled again after the export",
                fix=f"hlsgen export {shlex.quote(str(home))} --board {document['board']}",
            ),
            code=Code.STALE,
        )
    return document


def _read(place: Path, rule: str) -> dict[str, Any]:
    """What `export` noted about a project; raises `UsageError`, also where its family is unknown."""
    path = place / PROJECT
    if not path.is_file():
        raise UsageError(Problem(f"{place} {rule}", why=f"it has no {PROJECT}", fix=FIX), code=Code.FOLDER)
    document = parse_document(path, read_bytes(path, FIX), FORMAT, FIELDS, FIX)
    find_family(document["family"], where=str(path))
    return document


def _changed(path: Path, digest: object) -> str:
    """Why a file is not the exported one, or nothing."""
    try:
        return "" if sha256(read_bytes(path)) == digest else "the file was changed"
    except UsageError as error:
        return error.problems[0].why.lower() or "it can't be read"


def _home(place: Path) -> Path | None:
    """The build folder that a project lies in, if it does."""
    home = place.absolute().parent.parent
    return home if place.absolute().parent == home / BOARDS and (home / MANIFEST).is_file() else None
