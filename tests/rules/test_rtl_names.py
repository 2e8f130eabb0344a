# SPDX-License-Identifier: Apache-2.0
"""No port or field of the RTL is looked up by a name that is built or held in a variable."""

from __future__ import annotations

import ast
from pathlib import Path

RTL = Path(__file__).resolve().parents[2] / "rtl"
NOT_YET = {"load", "drain"}
"""Folders that still do."""


def _looked_up(path: Path) -> list[int]:
    """Lines of a file that call `getattr` with anything but a written name."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return [
        node.lineno
        for node in calls
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        if not (len(node.args) > 1 and isinstance(node.args[1], ast.Constant))
    ]


def test_no_attribute_is_looked_up_by_a_computed_name() -> None:
    found = {
        str(path.relative_to(RTL)): lines
        for path in sorted(RTL.rglob("*.py"))
        if path.relative_to(RTL).parts[0] not in NOT_YET and (lines := _looked_up(path))
    }
    assert not found


def test_a_folder_that_looks_nothing_up_is_no_exception() -> None:
    assert all(any(_looked_up(path) for path in (RTL / folder).glob("*.py")) for folder in NOT_YET)
