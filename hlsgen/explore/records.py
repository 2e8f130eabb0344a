# SPDX-License-Identifier: Apache-2.0
"""The folder of an exploration: the model's Graphs, and a line of JSON for each result as it came.

`study.json` says what the results are of. `points.jsonl` and the files of parts, `points-*.jsonl`, only grow.
A line that a crash has torn is left out, and computed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hlsgen.errors import HlsgenError, Problem, UsageError
from hlsgen.explore.point import Point
from hlsgen.explore.result import Result
from hlsgen.explore.subject import Setting, Subject
from hlsgen.store import files, graph_file
from hlsgen.store.read import DAMAGE, damaged, parse_document, read_bytes
from hlsgen.version import __version__

FORMAT = "hlsgen exploration 1"
INDEX, POINTS = "study.json", "points.jsonl"
AGAIN = "choose another folder, or remove this one"


class Records:
    """The results in a folder. Raises `UsageError` where it can't be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether there is an exploration."""
        return (self.folder / INDEX).is_file()

    def check(self) -> None:
        """Raise `UsageError` unless the folder is new, empty, or an exploration."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} must be a folder, not a file")
        if not self.exists() and self.folder.is_dir() and any(self.folder.iterdir()):
            what = f"{self.folder} must be empty, new, or an exploration of hlsgen"
            raise UsageError(Problem(what, fix=AGAIN))

    def begin(self, subject: Subject) -> Subject:
        """Write what is explored, or add to it; raises `UsageError` where the folder is of another model.

        Returns the subject with the settings that were there before.
        """
        self.check()
        if self.exists():
            before = self.subject()
            _same(self.folder, before, subject)
            settings = {**before.settings, **subject.settings}
            subject = Subject(subject.name, settings, {**before.boards, **subject.boards})
        contents = {
            f"logits{width}/{name}": data
            for width, setting in subject.settings.items()
            for name, data in graph_file.save(setting.graph).items()
        }
        document = {
            "format": FORMAT,
            "hlsgen": __version__,
            "name": subject.name,
            "settings": {
                str(width): {"noise_db": each.noise_db, "centred_db": each.centred_db}
                for width, each in subject.settings.items()
            },
            "boards": dict(subject.boards),
        }
        files.write(contents, self.folder)
        files.write({INDEX: (json.dumps(document, indent=1) + "\n").encode()}, self.folder)
        return subject

    def subject(self) -> Subject:
        """What is explored."""
        path = self.folder / INDEX
        if not self.exists():
            what, fix = f"{self.folder} must be an exploration", "hlsgen explore MODEL -o DIR makes one"
            raise UsageError(Problem(what, why=f"it has no {INDEX}", fix=fix))
        kinds = {"hlsgen": str, "name": str, "settings": dict, "boards": dict}
        document = parse_document(path, read_bytes(path, AGAIN), FORMAT, kinds, AGAIN)
        if document["hlsgen"] != __version__:
            why = f"it was made by version {document['hlsgen']}, and this is {__version__}"
            raise UsageError(Problem(f"{self.folder} must be of this version", why=why, fix=AGAIN))
        try:
            settings = {
                int(width): Setting(graph_file.load(self.folder / f"logits{int(width)}"), **noise)
                for width, noise in document["settings"].items()
            }
        except DAMAGE as error:
            raise damaged(path, "an exploration of this version", error, AGAIN) from None
        return Subject(document["name"], settings, document["boards"])

    def known(self) -> dict[Point, Result]:
        """All results so far."""
        found = {}
        for path in sorted(self.folder.glob("points*.jsonl")):
            for result in _lines(path):
                found[result.point] = result
        return found

    def append(self, results: Sequence[Result], name: str = POINTS) -> None:
        """Add lines to a file of results."""
        path = self.folder / name
        text = "".join(json.dumps(result.data()) + "\n" for result in results)
        try:
            with path.open("ab+") as stream:
                end = stream.seek(0, 2)
                if end and stream.seek(end - 1) is not None and stream.read(1) != b"\n":
                    text = "\n" + text  # what a crash has torn stays a line of its own
                stream.write(text.encode())
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror or error}") from None

    def write(self, name: str, document: Any) -> None:
        """Write a JSON document beside the results."""
        files.write({name: (json.dumps(document, indent=1) + "\n").encode()}, self.folder)


def _lines(path: Path) -> Iterator[Result]:
    for line in read_bytes(path, AGAIN).split(b"\n"):
        with suppress(*DAMAGE, HlsgenError, AssertionError):
            yield Result.of(json.loads(line))


def _same(folder: Path, before: Subject, now: Subject) -> None:
    problems = [
        Problem(
            f"{folder} holds results of another model or other images, for logits of {width} bits",
            why="its integer Graph is not the one that was quantized now",
            fix=AGAIN,
        )
        for width in sorted(before.settings.keys() & now.settings.keys())
        if graph_file.digest(before.settings[width].graph) != graph_file.digest(now.settings[width].graph)
    ]
    problems += [
        Problem(f"{folder} holds results for another board file {name}", fix=AGAIN)
        for name in sorted(before.boards.keys() & now.boards.keys())
        if before.boards[name] != now.boards[name]
    ]
    if before.name != now.name and not before.settings.keys() & now.settings.keys():
        problems.append(Problem(f"{folder} holds results of {before.name}, not of {now.name}", fix=AGAIN))
    if problems:
        raise UsageError(problems)
