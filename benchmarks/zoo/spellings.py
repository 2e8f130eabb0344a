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
    """The variants, the equal spellings and the mixtures of experts that the tests hold."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    try:
        tests = {
            name: importlib.import_module(f"support.{name}") for name in ("variants", "spellings", "mixtures")
        }
    finally:
        sys.path.pop(0)
    variants, spellings, mixtures = tests.values()
    plain = variants.VARIANTS | {"several_heads": variants.SeveralHeads}
    for name, make in (plain | spellings.SPELLINGS | mixtures.MIXTURES).items():
        yield Entry("spellings", name, partial(_make, make))


def _make(make: Callable[[], torch.nn.Module]) -> Made:
    return seeded(make()), torch.zeros(1, 2, 4, 6)
