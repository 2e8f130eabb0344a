# SPDX-License-Identifier: Apache-2.0
"""Results of earlier runs on the very same sources: a page that takes an hour can be written in parts."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.case import Case, Result

FOLDER = Path("build/benchmarks/results")
ROOT = Path(__file__).parents[1]
_PARTS = ("hlsgen", "rtl", "sim", "templates", "examples", "benchmarks")
_CACHES = "__pycache__"


def kept(case: Case, measure: Callable[[], Result], folder: Path = FOLDER) -> Result:
    """The result of a case: an earlier one of the same sources, else `measure`'s, which is then kept."""
    path = folder / f"{hashlib.sha256(f'{sources()} {case!r}'.encode()).hexdigest()[:32]}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    result = measure()
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(result))
    partial.replace(path)
    return result


@cache
def sources(root: Path = ROOT) -> str:
    """A digest of every file that a result can depend on, the installed libraries apart."""
    digest = hashlib.sha256()
    for part in _PARTS:
        for path in sorted((root / part).rglob("*")):
            if path.is_file() and _CACHES not in path.parts:
                digest.update(f"{path.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
