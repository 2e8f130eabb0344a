# SPDX-License-Identifier: Apache-2.0
"""The figures of a build folder's last evaluation, kept there for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hlsgen.display.share import Share
from hlsgen.errors import UsageError
from hlsgen.store.compiled import Compiled
from hlsgen.store.files import write
from hlsgen.store.paths import EVALUATED
from hlsgen.store.read import DAMAGE, damaged, parse_document, read_bytes

FORMAT = "hlsgen evaluated 1"
FIX = "remove it, or evaluate again: hlsgen evaluate DIR"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Images whose class is right, each share None where it is not known."""

    float_first: Share | None = None
    """By the float model."""
    first: Share | None = None
    """By the integer model, which is golden and the level."""
    float_five: Share | None = None
    """Labels among the float model's first five classes."""
    five: Share | None = None
    """Labels among the integer model's first five classes."""
    same: Share | None = None
    """Images for which both models have one class."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """One output's error beside the float model's output."""

    name: str
    db: float | None
    """Signal to noise; None without error."""
    centred_db: float | None
    """The same of what differs between images; None for one image, or without error."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A task's figures."""

    images: int
    level: str
    """What ran the images, `golden` or a level that gave golden's integers for each of them."""
    simulator: str
    """Of level rtl; empty for others."""
    shares: Shares
    outputs: tuple[Noise, ...]
    """Of every output; empty where the float model is not known."""

    @property
    def known(self) -> bool:
        """Whether there is any figure: without labels and float model there is none."""
        return bool(self.outputs) or self.shares != Shares()

    def data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "images": self.images,
            "level": self.level,
            "simulator": self.simulator,
            "shares": {name: share.data() for name, share in vars(self.shares).items() if share},
            "outputs": [vars(item) for item in self.outputs],
        }


def store(design: Compiled, task: int, found: Evaluated) -> None:
    """Put a task's figures beside the other tasks' into the design's build folder, if it has one."""
    if design.directory is None:
        return
    try:
        tasks = _tasks(design.directory, design)
    except UsageError:  # damaged: what it holds is evaluated again
        tasks = {}
    tasks[str(task)] = found.data()
    document = {"format": FORMAT, "design": design.digest, "tasks": dict(sorted(tasks.items()))}
    write({EVALUATED: (json.dumps(document, indent=1) + "\n").encode()}, design.directory)


def load(design: Compiled) -> dict[int, Evaluated]:
    """The figures by task; empty where this design was not evaluated.

    Raises `UsageError` when the file is damaged.
    """
    if design.directory is None:
        return {}
    tasks = _tasks(design.directory, design)
    try:
        return {int(task): _parse(tasks[task]) for task in sorted(tasks, key=int)}
    except DAMAGE as error:
        place = design.directory / EVALUATED
        raise damaged(place, f"a document of format {FORMAT!r}", error, FIX) from None


def _parse(data: Mapping[str, Any]) -> Evaluated:
    """A task's figures from the document; raises one of `DAMAGE`."""
    shares = {field.name: _share(data["shares"].get(field.name)) for field in fields(Shares)}
    outputs = [
        Noise(name=str(item["name"]), db=_decibel(item["db"]), centred_db=_decibel(item["centred_db"]))
        for item in data["outputs"]
    ]
    return Evaluated(
        images=int(data["images"]),
        level=str(data["level"]),
        simulator=str(data["simulator"]),
        shares=Shares(**shares),
        outputs=tuple(outputs),
    )


def _share(data: Mapping[str, Any] | None) -> Share | None:
    if data is None:
        return None
    count, of = int(data["count"]), int(data["of"])
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share")
    return Share(count, of)


def _decibel(value: Any) -> float | None:
    return None if value is None else float(value)


def _tasks(directory: Path, design: Compiled) -> dict[str, Any]:
    """The figures by task; empty without a file of this design. Raises `UsageError` when damaged.

    The build id would not do: another quantization of the model has the same machine.
    """
    path = directory / EVALUATED
    if not path.exists():
        return {}
    document = parse_document(path, read_bytes(path, FIX), FORMAT, {"design": str, "tasks": dict}, FIX)
    return document["tasks"] if document["design"] == design.digest else {}
