# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/map.md: `python -m scripts.map` writes them, as `make table` does.

The floors and chains are those that `tests/rules/test_imports.py` holds. The first line of a part's docstring
says what the part is.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.blocks import rewrite

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("examples", "rtl", "sim", "templates")


def rules() -> Any:
    """The module with FLOORS and CHAINS."""
    spec = importlib.util.spec_from_file_location("rules", ROOT / "tests/rules/test_imports.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/rules/test_imports.py must be there: it has the floors")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def purpose(path: Path) -> str:
    """The first line of a module's or package's docstring."""
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text()))
    if not text:
        raise SystemExit(f"{file.relative_to(ROOT)} must have a docstring")
    return " ".join(text.partition("\n\n")[0].split())


def home(part: str) -> Path:
    """The folder or module of a part of hlsgen, without following its link."""
    return ROOT / part if part in LINKED else ROOT / "hlsgen" / part


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (header, tuple("---" for _ in header), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _name(path: Path) -> str:
    inside = path.relative_to(ROOT)
    return f"`{inside}/`" if path.is_dir() else f"`{inside.with_suffix('.py')}`"


def floors(top_down: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, ...]]:
    """A row for each part: the floor's number, counted from the ground, on its first part only."""
    for number, parts in reversed(list(enumerate(top_down))):
        for index, part in enumerate(parts):
            yield str(number) if index == 0 else "", _name(home(part)), purpose(home(part))


def chain(part: str, steps: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, ...]]:
    """A row for each folder of a part, in the order in which they may import each other."""
    for number, names in enumerate(steps, 1):
        for index, name in enumerate(names):
            path = home(part) / name
            yield str(number) if index == 0 else "", _name(path), purpose(path)


def tables() -> dict[str, str]:
    """Every table by its name."""
    module = rules()
    found = {"floors": _table(("floor", "part", "what it is"), floors(module.FLOORS))}
    for part, steps in module.CHAINS.items():
        found[part] = _table(("", "folder", "what it is"), chain(part, steps))
    return found


if __name__ == "__main__":
    rewrite("map.md", tables())
