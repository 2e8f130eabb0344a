# SPDX-License-Identifier: Apache-2.0
"""Equal spellings of one small vision transformer; each changes one thing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.zoo.entry import Entry, Made, seeded


def entries() -> Iterator[Entry]:
    """The variants that the tests hold, and those below."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    try:
        variants = importlib.import_module("support.variants")
    finally:
        sys.path.pop(0)
    for name, make in (variants.VARIANTS | {"several_heads": variants.SeveralHeads}).items():
        yield Entry("spellings", name, partial(_make, make))


def _make(make: Callable[[], torch.nn.Module]) -> Made:
    return seeded(make()), torch.zeros(1, 2, 4, 6)
