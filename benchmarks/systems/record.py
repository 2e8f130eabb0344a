# SPDX-License-Identifier: Apache-2.0
"""Runs in RTL, kept in a file: the page shows each as long as the cycle model predicts the same for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("runs.json")


@dataclass(frozen=True)
class Run:
    """A picture in RTL, every tensor equal. predicted: what the cycle model said."""

    cycles: int
    predicted: int
    tensors: int

    def __str__(self) -> str:
        return f"RTL, {self.tensors} tensors equal, model {self.predicted / self.cycles - 1:+.3%}"


def keep(name: str, run: Run, file: Path = FILE) -> None:
    """Put a run into the file."""
    found = _read(file) | {name: asdict(run)}
    file.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", "utf-8")


def kept(name: str, predicted: int, file: Path = FILE) -> Run | None:
    """The last run of a model; None where there is none, or where the model was predicted otherwise then."""
    found = _read(file).get(name)
    run = Run(**found) if found else None
    return run if run and run.predicted == predicted else None


def _read(file: Path) -> dict[str, dict[str, int]]:
    return json.loads(file.read_text("utf-8")) if file.exists() else {}
