# SPDX-License-Identifier: Apache-2.0
"""A folder of generated files, replaced as a whole.

The new files are first written into a folder inside, `.hlsgen-new`; the folder's own files are not touched.
Renaming it to `.hlsgen-commit` is the one step that decides: before it the old files count, from then on the
new ones. They are then moved to their places, the index last. Whoever opens the folder next finishes that,
if it was interrupted: each move can be made again. So a full disk, a signal or a kill leave the old files or
the new ones. The user's own files stay where they are.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hlsgen.errors import Problem, UsageError
from hlsgen.errors.codes import Code
from hlsgen.store import files
from hlsgen.store.lock import locked

NEW, COMMIT = ".hlsgen-new", ".hlsgen-commit"


@dataclass(frozen=True)
class Folder:
    """A folder of generated files with an index.

    index: name of the JSON document whose `files` lists the others by path. kind: what it is, for messages.
    derived: what others add later to these files, gone with them.
    """

    path: Path
    index: str
    kind: str
    derived: Sequence[str] = ()

    def check(self) -> None:
        """Raise `UsageError` when the folder can't be written, or holds something else than our files."""
        try:
            nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
            if not nearest.is_dir():
                raise UsageError(f"{nearest} must be a folder, not a file", code=Code.FOLDER)
            with tempfile.TemporaryFile(dir=nearest):
                pass  # it can be written
            held = {item.name for item in self.path.iterdir()} if nearest == self.path else set()
        except OSError as error:
            why = str(error.strerror).lower()
            problem = Problem(f"{self.path} can't be written", why=why, fix="choose another folder")
            raise UsageError(problem, code=Code.WRITE) from None
        except ValueError as error:  # a null character
            raise UsageError(f"{str(self.path)!r} can't be a path: {error}", code=Code.FOLDER) from None
        if held - {NEW, COMMIT} and not (held & {COMMIT} or self._listed(self.path / self.index) is not None):
            raise UsageError(
                Problem(
                    f"{self.path} must be empty, new, or a {self.kind} of hlsgen",
                    why="its files would be mixed with the generated ones",
                    fix="choose another folder, or remove this one",
                ),
                code=Code.FOLDER,
            )

    def replace(self, contents: Mapping[str, bytes]) -> None:
        """Put `contents`, path to bytes with the index among them, in the place of the listed files.

        Files that are equal already keep their time stamps. Raises `UsageError`; then the old files are
        there, or the new ones once the folder is opened again.
        """
        self.check()
        existed = self.path.is_dir()
        files.make_folder(self.path)
        with locked(self.path):
            self._finish()
            self.check()
            try:
                self._stage(contents)
            except BaseException:
                with suppress(UsageError):
                    files.remove_tree(self.path / NEW)
                if not existed:
                    with suppress(OSError):
                        self.path.rmdir()
                raise
            self._finish()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it nobody changes the folder; an interrupted replacement is finished first."""
        while True:
            if (self.path / COMMIT).is_dir():
                with locked(self.path):
                    self._finish()
            with locked(self.path, shared=True):
                if not (self.path / COMMIT).is_dir():
                    yield
                    return

    def _stage(self, contents: Mapping[str, bytes]) -> None:
        """Write what differs beside the folder's files, and decide for it."""
        files.remove_tree(self.path / NEW)
        if files.same(self.path / self.index, contents[self.index]) and all(
            files.same(self.path / path, data) for path, data in contents.items()
        ):
            self._remove_derived()
            return
        self._check_places(contents)
        for path, data in contents.items():
            if path == self.index or not files.same(self.path / path, data):
                place = self.path / NEW / path
                files.make_folder(place.parent)
                files.put(place, data)
        files.move(self.path / NEW, self.path / COMMIT)

    def _check_places(self, contents: Mapping[str, bytes]) -> None:
        """All that could stop the moves later is refused before."""
        problems = []
        for above in sorted({above for path in contents for above in PurePosixPath(path).parents}):
            place = self.path / above
            if os.path.lexists(place) and (not place.is_dir() or (place.is_symlink() and place != self.path)):
                problems.append(Problem(f"{place} must be a folder, not a file or a link"))
            elif place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
                problems.append(Problem(f"{place} must be a folder that can be written"))
        problems += [
            Problem(f"{self.path / path} must be a file, not a folder")
            for path in contents
            if (self.path / path).is_dir() and not (self.path / path).is_symlink()
        ]
        if problems:
            raise UsageError(problems, code=Code.WRITE)

    def _finish(self) -> None:
        """Move what was decided for to its place; nothing where nothing was. The lock must be held."""
        commit = self.path / COMMIT
        if not commit.is_dir():
            return
        new = self._listed(commit / self.index)
        if new is not None:  # else the index has been moved, which is the last move
            old = self._listed(self.path / self.index) or []
            for path in sorted(set(old) - set(new)):
                files.remove(self.path / path)
            self._remove_derived()
            for place in sorted(item for item in commit.rglob("*") if item.is_file()):
                if place != commit / self.index:
                    target = self.path / place.relative_to(commit)
                    files.make_folder(target.parent)
                    files.move(place, target)
            files.move(commit / self.index, self.path / self.index)
        files.remove_tree(commit)

    def _remove_derived(self) -> None:
        for path in self.derived:
            files.remove(self.path / path)
            files.remove(files.part(self.path / path))

    def _listed(self, index: Path) -> list[str] | None:
        """Paths that an index lists, of any version; those that lead outside don't count."""
        try:
            document = json.loads(index.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(document, dict) or not str(document.get("format")).startswith("hlsgen "):
            return None
        listed = document.get("files")
        if not isinstance(listed, (list, dict)):
            return None
        inside = self.path.resolve()
        return [
            path
            for path in listed
            if isinstance(path, str)
            and "\0" not in path
            and (self.path / path).resolve().is_relative_to(inside)
        ]
