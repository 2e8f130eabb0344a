# SPDX-License-Identifier: Apache-2.0
"""Changes of files. Every one that hlsgen makes in a build or project folder is one of these calls."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.store.lock import locked


def sha256(data: bytes) -> str:
    """The digest that manifests list, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def put(path: Path, data: bytes) -> None:
    """Write a whole file, in place."""
    _change(path, path.write_bytes, data)


def move(source: Path, target: Path) -> None:
    """Rename, within a file system; a file that was there is replaced at once."""
    _change(target, os.replace, source, target)


def remove(path: Path) -> None:
    """Remove a file or a link, if it is there."""
    _change(path, path.unlink, missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    _change(path, path.mkdir, parents=True, exist_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a folder of ours with all that it holds; links are not followed."""
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            remove(Path(folder) / name)
        for name in folders:
            inner = Path(folder) / name
            _change(inner, inner.unlink if inner.is_symlink() else inner.rmdir)
    if path.is_dir():
        _change(path, path.rmdir)


def write(files: Mapping[str, bytes], directory: Path) -> None:
    """Write path -> bytes below `directory`, each file whole or not at all.

    Files that are equal already keep their time stamps. Raises `UsageError`.
    """
    make_folder(directory)
    with locked(directory):
        for path, data in files.items():
            place = directory / path
            if not same(place, data):
                make_folder(place.parent)
                put(part(place), data)
                move(part(place), place)


def writable(directory: Path) -> bool:
    """Whether files can be put into a folder."""
    return os.access(directory, os.W_OK)


def part(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.part")


def same(path: Path, data: bytes) -> bool:
    """Whether a file holds these bytes."""
    with suppress(OSError):
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    return False


def _change(path: Path, action: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Do one change; an error of the operating system names the file, which the system may not."""
    try:
        action(*arguments, **options)
    except OSError as error:
        what = f"{path} can't be written: {error.strerror or error}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "make room, then call it again" if full else "choose another folder"
        raise UsageError(Problem(what, fix=fix), code=Code.WRITE) from None
    except ValueError as error:  # a null character
        raise UsageError(f"{str(path)!r} can't be a path: {error}", code=Code.WRITE) from None
