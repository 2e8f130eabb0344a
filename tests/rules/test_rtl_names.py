# SPDX-License-Identifier: Apache-2.0
"""No port or field of the RTL is looked up by a name that is built or held in a variable."""

from __future__ import annotations

import ast
from pathlib import Path

RTL = Path(__file__).resolve().parents[2] / "rtl"


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
        str(path.relative_to(RTL)): lines for path in sorted(RTL.rglob("*.py")) if (lines := _looked_up(path))
    }
    assert not found
