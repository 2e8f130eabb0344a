# SPDX-License-Identifier: Apache-2.0
"""The counters of a build folder's last RTL simulation, kept there for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hlsgen.errors import UsageError
from hlsgen.machine.format.interface import COUNTERS, DRAIN
from hlsgen.store.files import write
from hlsgen.store.paths import MEASURED
from hlsgen.store.read import DAMAGE, damaged, parse_document, read_bytes

FORMAT = "hlsgen measured 1"
FIX = "remove it, or simulate again: hlsgen simulate DIR --level rtl"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The slowest image of a task."""

    simulator: str
    images: int
    counters: Mapping[str, int]
    """Those of `interface.COUNTERS`, by title."""
    ends: Mapping[int, int]
    """The cycle of each command's last result, from the start; skipped commands are left out."""


def command_ends(records: np.ndarray) -> dict[int, int]:
    """The cycle of each command's last result, from an image's trace."""
    drained = records[records["which"] == DRAIN]
    commands, place = np.unique(drained["command"], return_inverse=True)
    ends = np.zeros(len(commands), np.int64)
    np.maximum.at(ends, place, drained["cycle"])
    return {int(command): int(end) for command, end in zip(commands, ends, strict=True)}


def store(directory: Path, build_id: int, task: int, measured: Measured) -> None:
    """Put what was counted for a task beside the other tasks'."""
    try:
        tasks = _tasks(directory, build_id)
    except UsageError:  # damaged: what it holds is measured again
        tasks = {}
    tasks[str(task)] = {
        "simulator": measured.simulator,
        "images": measured.images,
        "counters": dict(measured.counters),
        "ends": {str(command): end for command, end in sorted(measured.ends.items())},
    }
    document = {"format": FORMAT, "build_id": build_id, "tasks": dict(sorted(tasks.items()))}
    write({MEASURED: (json.dumps(document, indent=1) + "\n").encode()}, directory)


def load(directory: Path | None, build_id: int, task: int = 0) -> Measured | None:
    """What was counted for a task, or nothing where none was simulated for this machine.

    Raises `UsageError` when the file is damaged.
    """
    found = _tasks(directory, build_id).get(str(task)) if directory else None
    if directory is None or found is None:
        return None
    try:
        return Measured(
            simulator=str(found["simulator"]),
            images=int(found["images"]),
            counters={item.title: int(found["counters"][item.title]) for item in COUNTERS},
            ends={int(command): int(end) for command, end in found["ends"].items()},
        )
    except DAMAGE as error:
        raise damaged(directory / MEASURED, f"a document of format {FORMAT!r}", error, FIX) from None


def _tasks(directory: Path, build_id: int) -> dict[str, Any]:
    """The counters by task; empty without a file of this machine. Raises `UsageError` when damaged."""
    path = directory / MEASURED
    if not path.exists():
        return {}
    document = parse_document(path, read_bytes(path, FIX), FORMAT, {"build_id": int, "tasks": dict}, FIX)
    return document["tasks"] if document["build_id"] == build_id else {}
