# SPDX-License-Identifier: Apache-2.0
"""Results by the content of what they depend on: a rerun does only what changed."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo.entry import Entry
from hlsgen.store.cache import cache_folder, key

ROOT = Path(__file__).resolve().parents[2]
_ZOO = "benchmarks/zoo"
_MAKERS = {
    "transformers": (f"{_ZOO}/hugging.py",),
    "timm": (f"{_ZOO}/pytorch_image_models.py",),
    "spellings": (
        f"{_ZOO}/spellings.py",
        *(f"tests/support/{name}.py" for name in ("variants", "spellings", "mixtures")),
    ),
}
_EXPORT = ("hlsgen/frontend/read", "hlsgen/frontend/capture.py", "hlsgen/nn.py")
_ANSWER = (
    "benchmarks/zoo/judge.py",
    "hlsgen/frontend",
    "hlsgen/ops",
    "hlsgen/ir.py",
    "hlsgen/nn.py",
    "hlsgen/errors/__init__.py",
)


def _texts(paths: Sequence[str]) -> list[bytes]:
    """All sources below the paths."""
    files = [
        file
        for path in paths
        for file in sorted([ROOT / path, *(ROOT / path).rglob("*.py")])
        if file.is_file()
    ]
    return [file.read_bytes() for file in files]


def _versions() -> list[str]:
    found = []
    for package in ("torch", "transformers", "timm", "numpy"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} none")
    return found


class Store:
    """The cache of one run; keys are worked out once."""

    def __init__(self) -> None:
        """Read the sources that results depend on."""
        common = [f"{_ZOO}/{name}.py" for name in ("entry", "shrink", "read")]
        self._export = {
            library: key(*_versions(), *_texts([*common, *files, *_EXPORT]))
            for library, files in _MAKERS.items()
        }
        self._answer = key(*_texts(_ANSWER))
        self._levels = {
            "program": key(*_texts(["hlsgen", f"{_ZOO}/levels.py"])),
            "removal": key(*_texts([f"{_ZOO}/levels.py", f"{_ZOO}/removal.py"])),
        }
        self._folder = cache_folder() / "zoo"

    def export(self, entry: Entry, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `judge.exported` found, from the cache where it is there."""
        place = self._folder / key(entry.title, self._export[entry.library])
        try:
            return pickle.loads(place.read_bytes())  # this command alone writes it
        except (
            OSError,
            ValueError,
            EOFError,
            pickle.UnpicklingError,
            AttributeError,
            ImportError,
            TypeError,
        ):
            found = make()
            _write(place, pickle.dumps(found))
            return found

    def answer(self, entry: Entry, level: str = "") -> Path:
        """Where the answer to an entry lies: of the front end, or of a `level` behind it."""
        parts = [entry.title, self._export[entry.library], self._answer]
        return self._folder / f"{key(*parts, *([level, self._levels[level]] if level else []))}.json"


def kept(place: Path) -> dict[str, Any] | None:
    """A result from the cache."""
    try:
        return json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def keep(place: Path, result: dict[str, Any]) -> None:
    """Put a result into the cache."""
    _write(place, json.dumps(result).encode())


def _write(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    part.write_bytes(data)
    part.replace(place)
