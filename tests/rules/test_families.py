# SPDX-License-Identifier: Apache-2.0
"""Only a family's record and its own folders name it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlsgen.boards.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("hlsgen", "rtl", "sim", "benchmarks", "scripts")
OWN = (
    "hlsgen/boards/families.py",
    "hlsgen/emit/ecp5/",
    "hlsgen/emit/gowin/",
    "hlsgen/emit/vivado/",
    "hlsgen/bitstream/ecp5/",
    "hlsgen/bitstream/gowin/",
    "hlsgen/bitstream/vivado/",
    "rtl/ecp5/",
    "rtl/gowin/",
)
TARGETS = "hlsgen/machine/format/multipliers.py"
"""What the RTL may be made for, some of which are called like a family."""


def _files() -> Iterator[tuple[str, Path]]:
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(parent.is_symlink() for parent in path.parents):
                yield str(path.relative_to(ROOT)), path


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string that a file holds, docstrings apart."""
    tree = ast.parse(path.read_text())
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # a string that stands alone
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_nothing_else_names_a_family(family: str) -> None:
    named = [
        f"{name}:{line}"
        for name, path in _files()
        if not name.startswith(OWN) and name != TARGETS
        for line, text in _literals(path)
        if text == family
    ]
    assert not named


def test_the_machines_parameters_know_no_chip() -> None:
    text = (ROOT / "hlsgen/machine/format/parameters.py").read_text().lower()
    assert [word for word in ("ecp5", "gowin", "zynq", "xilinx", "mult18", "dsp48") if word in text] == []
