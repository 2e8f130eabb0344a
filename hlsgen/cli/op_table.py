# SPDX-License-Identifier: Apache-2.0
"""The op x place matrix, read from the tree: which op is handled where, and which path is missing.

A row is one file of `ops/`. Its places are the front end that builds it, the quantizer, the golden model, the
lowering; for each load or drain mode that it uses the interpreter, the HLS C++ and the RTL; and its test.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hlsgen.machine.modes.table import UNITS

PACKAGE = Path(__file__).resolve().parents[1]


MODES = tuple(unit for unit in UNITS.values() if unit.name.startswith(("load_", "drain_")))
"""What LOAD and DRAIN do, by the machine's own table: each has a file of its name in `machine/modes`."""

USES = {
    "activation": ("drain_activation",),
    "add": ("drain_add",),
    "choose": ("drain_route",),
    "combine": ("drain_combine",),
    "context": ("load_exp", "drain_context"),
    "experts": ("load_layer_norm", "load_rows", "drain_requantize", "drain_activation"),
    "layer_norm": ("load_layer_norm",),
    "linear": ("load_rows", "drain_requantize"),
    "mean": ("load_pool",),
    "patches": ("load_patches",),
    "route": ("drain_route",),
    "scores": ("load_rows", "drain_scores"),
    "select": ("load_rows",),
    "softmax": ("load_exp",),
}
"""The modes that an op's file needs; an op without an entry is reported as missing."""


@dataclass(frozen=True)
class Row:
    """One op: its classes, and for each place what is missing there (nothing: it is there).

    An installed package has no tests: then that place is left out.
    """

    stem: str
    classes: tuple[str, ...]
    modes: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def data(self) -> dict[str, Any]:
        """For `--json`."""
        places = {place: not paths for place, paths in self.missing.items()}
        paths = [path for paths in self.missing.values() for path in paths]
        return {
            "op": self.stem,
            "classes": list(self.classes),
            "modes": list(self.modes),
            "places": places,
            "missing": paths,
        }


def matrix(package: Path = PACKAGE) -> tuple[Row, ...]:
    """One row for each file of `ops/`, by name."""
    files = sorted(path for path in (package / "ops").glob("*.py") if path.stem != "__init__")
    return tuple(_row(package, path) for path in files)


def missing(rows: tuple[Row, ...]) -> list[str]:
    """Every missing path with its op and place."""
    return [
        f"{row.stem}, {place}: {path}"
        for row in rows
        for place, paths in row.missing.items()
        for path in paths
    ]


def _row(package: Path, path: Path) -> Row:
    floats, integers = _classes(path)
    stem, modes = path.stem, USES.get(path.stem, ())
    used = [unit for unit in MODES if unit.name in modes]
    both = (*floats, *(name for name in integers if name not in floats))
    found = {
        "front end": _named(package, "frontend", floats),
        "quantizer": _named(package, "quantization", both),
        "golden": () if integers else (f"hlsgen/ops/{stem}.py: no class with a golden method",),
        "lowering": _named(package, "lower", integers),
        "interpreter": _interpreted(package, stem, modes),
        "HLS C++": _absent(package, "templates", [f"hls/{unit.cpp}.hpp" for unit in used]),
        "RTL": _absent(package, "rtl", [f"{unit.rtl}.py" for unit in used]),
    }
    if (package.parent / "tests").is_dir():
        found["test"] = _named(package.parent, "tests/ops", both)
    return Row(stem, both, modes, {place: tuple(paths) for place, paths in found.items()})


@cache
def _classes(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the op classes with a float meaning, and of those with an integer meaning."""
    floats, integers = [], []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            floats += [node.name] if "reference" in methods else []
            integers += [node.name] if "golden" in methods else []
    return tuple(floats), tuple(integers)


@cache
def _names(path: Path) -> frozenset[str]:
    """Every name and attribute that a file uses, imports apart."""
    tree = ast.walk(ast.parse(path.read_text()))
    return frozenset(
        node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else node.name
        for node in tree
        if isinstance(node, ast.Name | ast.Attribute | ast.FunctionDef)
    )


def _named(root: Path, folder: str, classes: tuple[str, ...]) -> list[str]:
    """The classes that no file of a folder uses."""
    used: set[str] = set()
    for path in (root / folder).rglob("*.py"):
        used |= _names(path)
    shown = folder if folder.startswith("tests") else f"hlsgen/{folder}"
    return [f"{shown}/: nothing uses {name}" for name in classes if name not in used]


def _interpreted(package: Path, stem: str, modes: tuple[str, ...]) -> list[str]:
    if not modes:
        return [f"hlsgen/cli/op_table.py: no modes for {stem}"]
    known = {unit.name for unit in MODES}
    wrong = [f"hlsgen/machine/modes/table.py: no mode has {mode}" for mode in modes if mode not in known]
    paths = [f"machine/modes/{mode}.py" for mode in modes]
    return wrong + [f"hlsgen/{path}" for path in paths if not (package / path).is_file()]


def _absent(package: Path, folder: str, paths: list[str]) -> list[str]:
    """The paths that a top-level folder lacks."""
    return [f"{folder}/{path}" for path in paths if not (_top_level(package, folder) / path).is_file()]


def _top_level(package: Path, folder: str) -> Path:
    """`rtl`, `sim` or `templates`: inside an installed package, beside it in a checkout without links."""
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def text(rows: tuple[Row, ...]) -> str:
    """The matrix for a terminal, then what is missing."""
    width = max(len(row.stem) for row in rows)
    places = tuple(rows[0].missing)
    lines = [f"{'op':{width}}  {'  '.join(places)}  modes"]
    for row in rows:
        cells = [f"{'-' if row.missing[place] else 'yes':{len(place)}}" for place in places]
        lines.append(f"{row.stem:{width}}  {'  '.join(cells)}  {', '.join(row.modes)}")
    lines += [f"missing: {line}" for line in missing(rows)]
    return "\n".join(lines)


def markdown(rows: tuple[Row, ...]) -> str:
    """The table of README.md."""
    places = tuple(rows[0].missing)
    lines = [f"| op | {' | '.join(places)} | modes |", f"|---{'|---' * (len(places) + 1)}|"]
    for row in rows:
        cells = ["no" if row.missing[place] else "yes" for place in places]
        modes = ", ".join(f"`{mode}`" for mode in row.modes)
        lines.append(f"| `{row.stem}` | {' | '.join(cells)} | {modes} |")
    return "\n".join(lines)
