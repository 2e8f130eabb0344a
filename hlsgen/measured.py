# SPDX-License-Identifier: Apache-2.0
"""What the last RTL simulation of a build folder counted, kept there for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hlsgen.machine import trace

if TYPE_CHECKING:
    from hlsgen.simulate import Simulation

PATH = "measured.json"
FORMAT = "hlsgen measured 1"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The slowest image of a task."""

    simulator: str
    images: int
    counters: Mapping[str, int]
    """The RTL's registers: cycles, steps issued, cycles waited by reason."""
    ends: Mapping[int, int]
    """Of each command that ran the cycle of its last result, from the start."""


def command_ends(records: np.ndarray) -> dict[int, int]:
    """Of each command in an image's trace the cycle of its last result."""
    drained = records[records["which"] == trace.DRAIN]
    commands, place = np.unique(drained["command"], return_inverse=True)
    ends = np.zeros(len(commands), np.int64)
    np.maximum.at(ends, place, drained["cycle"])
    return {int(command): int(end) for command, end in zip(commands, ends, strict=True)}


def store(directory: Path, build_id: int, result: Simulation) -> None:
    """Put a simulation's counters beside those of the other tasks."""
    from hlsgen.project import write

    slowest = max(result.counters, key=lambda item: item["cycles"])
    tasks = _tasks(directory, build_id)
    tasks[str(result.task)] = {
        "simulator": result.simulator,
        "images": result.images,
        "counters": dict(slowest),
        "ends": {str(command): end for command, end in sorted(result.ends.items())},
    }
    document = {"format": FORMAT, "build_id": build_id, "tasks": dict(sorted(tasks.items()))}
    write({PATH: (json.dumps(document, indent=1) + "\n").encode()}, directory)


def load(directory: Path | None, build_id: int, task: int = 0) -> Measured | None:
    """What was counted for a task, or nothing where none was simulated for this machine."""
    found = _tasks(directory, build_id).get(str(task)) if directory else None
    if found is None:
        return None
    return Measured(
        simulator=found["simulator"],
        images=found["images"],
        counters=found["counters"],
        ends={int(command): end for command, end in found["ends"].items()},
    )


def _tasks(directory: Path, build_id: int) -> dict[str, Any]:
    """By task; nothing where the file is missing, damaged, or another machine's."""
    try:
        document = json.loads((directory / PATH).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return {}
    return document["tasks"] if document.get("build_id") == build_id else {}
