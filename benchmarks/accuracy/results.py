# SPDX-License-Identifier: Apache-2.0
"""The last score of each model with the defaults, so that the page can be written after several runs."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.options import DEFAULTS
from benchmarks.accuracy.score import Score
from benchmarks.kept import sources

FOLDER = Path("build/benchmarks/accuracy")


def keep(scores: Sequence[Score], folder: Path = FOLDER) -> None:
    """Keep those with the defaults, with a digest of the sources that they come from."""
    folder.mkdir(parents=True, exist_ok=True)
    for score in scores:
        if score.options == DEFAULTS:
            (folder / f"{score.subject}.pickle").write_bytes(pickle.dumps((sources(), score)))


def kept(names: Sequence[str], folder: Path = FOLDER) -> tuple[list[Score], list[str]]:
    """The scores of these models, in this order; and what is wrong with them, a line each."""
    scores, wrong = [], []
    for name in names:
        path = folder / f"{name}.pickle"
        if not path.exists():
            wrong.append(f"{name}: not measured yet")
            continue
        source, score = pickle.loads(path.read_bytes())
        scores.append(score)
        if source != sources():
            wrong.append(f"{name}: measured on other sources than these")
    return scores, wrong
