# SPDX-License-Identifier: Apache-2.0
"""The op x place matrix, read from the tree: which op is handled where, and which path is missing.

A row is one file of `ops/` that defines ops. Its places are the front end, of which a rule must make it; the
quantizer, which must have a rule for it and make its integer ops; the golden model; the lowering; for each
load or drain mode that it uses the interpreter, the HLS C++ and the RTL; and its test.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hlsgen import ops
from hlsgen.ir import REGISTRY
from hlsgen.machine.modes.table import UNITS
from hlsgen.ops.kinds import FloatOp, Kind, either

PACKAGE = Path(__file__).resolve().parents[1]


MODES = tuple(unit for unit in UNITS.values() if unit.name.startswith(("load_", "drain_")))
"""What LOAD and DRAIN do, by the machine's own table: each has a file of its name in `machine/modes`."""


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
    return tuple(_row(package, path) for path in files if any(_classes(path)))


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
    stem, modes = path.stem, _units(path)
    used = [unit for unit in MODES if unit.name in modes]
    both = (*floats, *(name for name in integers if name not in floats))
    found = {
        "front end": [
            f"hlsgen/frontend/rules/: no rule makes {name}" for name in floats if name not in _read(package)
        ],
        "quantizer": _unquantized(package, path, floats, integers),
        "golden": () if integers else (f"hlsgen/ops/{stem}.py: no class with a golden method",),
        "lowering": _named(package, "lower", integers, _bases(path)),
        "interpreter": _interpreted(package, stem, modes),
        "HLS C++": _absent(package, "templates", [f"hls/{unit.cpp}.hpp" for unit in used]),
        "RTL": _absent(package, "rtl", [f"{unit.rtl}.py" for unit in used]),
    }
    if (package.parent / "tests").is_dir():
        found["test"] = _named(package.parent, "tests/ops", both)
    return Row(stem, both, modes, {place: tuple(paths) for place, paths in found.items()})


@cache
def _class_nodes(path: Path) -> tuple[ast.ClassDef, ...]:
    return tuple(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))


def _bases(path: Path) -> dict[str, set[str]]:
    """The bases of a file's classes, by name."""
    return {
        node.name: {item.id for item in node.bases if isinstance(item, ast.Name)}
        for node in _class_nodes(path)
    }


def _units(path: Path) -> tuple[str, ...]:
    """The machine's units that a file's classes name, in order."""
    named = [
        item.value
        for node in _class_nodes(path)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id == "units"
    ]
    return tuple(dict.fromkeys(name for value in named if value for name in ast.literal_eval(value)))


@cache
def _classes(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the registered op classes with a float meaning, and of those with an integer meaning.

    A class that has neither method has that of its base, by which it is named.
    """
    floats, integers = [], []
    for node in _class_nodes(path):
        if not any(isinstance(item, ast.Name) and item.id == "op" for item in node.decorator_list):
            continue
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        whole = node.name.startswith("Integer")
        floats += [node.name] if "reference" in methods or not (whole or "golden" in methods) else []
        integers += [node.name] if "golden" in methods or whole else []
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


STAND_INS = "unknowns.py"
"""The front end's ops in the place of what was refused: no model gets them."""


def _functions(folder: Path) -> dict[str, list[ast.FunctionDef]]:
    """The functions and methods of a folder by name."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for path in sorted(path for path in folder.glob("*.py") if path.name != STAND_INS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


def _called(function: ast.FunctionDef) -> set[str]:
    """Names of what a function calls."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {
        call.id if isinstance(call, ast.Name) else call.attr
        for call in calls
        if isinstance(call, ast.Name | ast.Attribute)
    }


@cache
def _read(package: Path) -> frozenset[str]:
    """What a model's ops become: every class that a rule calls, itself or through what it calls.

    What the quantizer adds to a model counts as well: see `legalise`.
    """
    functions = _functions(package / "frontend/rules")
    start = [each for found in functions.values() for each in found if _decorations(each, "rule")]
    made: set[str] = set()
    todo = set().union(*map(_called, start))
    while todo:
        made |= todo
        todo = set().union(*(_called(each) for name in todo for each in functions.get(name, ()))) - made
    added = ast.walk(ast.parse((package / "quantization/legalise.py").read_text()))
    return frozenset(made).union(*(_called(node) for node in added if isinstance(node, ast.FunctionDef)))


def _decorations(node: ast.FunctionDef | ast.ClassDef, name: str) -> list[ast.expr]:
    """The arguments of the decorator `name`."""
    return [
        argument
        for item in node.decorator_list
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id == name
        for argument in item.args
    ]


@cache
def _rules(package: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The ops that the quantizer has rules for, and what those call."""
    ruled, called = set(), set()
    for path in sorted((package / "quantization/rules").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                ruled |= {item.id for item in _decorations(node, "rule") if isinstance(item, ast.Name)}
            elif isinstance(node, ast.FunctionDef):
                called |= _called(node)
    return frozenset(ruled), frozenset(called)


def _unquantized(package: Path, path: Path, floats: tuple[str, ...], integers: tuple[str, ...]) -> list[str]:
    """What the quantizer lacks: a rule for the op or for its base, and what makes the integer op.

    A class may name its integer op itself, as `integer`, for the rule of its base.
    """
    ruled, called = _rules(package)
    own = {
        item.value.id
        for node in _class_nodes(path)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.value, ast.Name)
    }
    folder = "hlsgen/quantization/rules/"
    lost = [name for name in floats if not ({name} | _bases(path)[name]) & ruled]
    unmade = [name for name in integers if name not in {*floats, *own, *called}]
    return [f"{folder}: no rule for {name}" for name in lost] + [
        f"{folder}: no rule makes {name}" for name in unmade
    ]


def _named(
    root: Path, folder: str, classes: tuple[str, ...], bases: Mapping[str, set[str]] | None = None
) -> list[str]:
    """The classes that no file of a folder uses, neither by their own name nor by a base's."""
    used: set[str] = set()
    for path in (root / folder).rglob("*.py"):
        used |= _names(path)
    shown = folder if folder.startswith("tests") else f"hlsgen/{folder}"
    roots = {name: ({name} | (bases or {}).get(name, set())) - {"Op", "FloatOp"} for name in classes}
    return [f"{shown}/: nothing uses {name}" for name in classes if not roots[name] & used]


def _interpreted(package: Path, stem: str, modes: tuple[str, ...]) -> list[str]:
    if not modes:
        return [f"hlsgen/ops/{stem}.py: no class names its units of the machine"]
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
    return "\n".join([*lines, "", *_grammar()])


def _grammar() -> list[str]:
    """What each op may follow, input by input."""
    found = follows()
    width = max(map(len, found))
    lines = [f"{'op':{width}}  may follow"]
    return lines + [f"{name:{width}}  {'; '.join(inputs)}" for name, inputs in found.items()]


def follows() -> dict[str, list[str]]:
    """Float op -> for each of its inputs what may stand there, in words."""
    known = {name: cls for name, cls in sorted(REGISTRY.items()) if issubclass(cls, FloatOp)}
    return {
        name: [either(read.parts) if read.parts else Kind.IMAGE.value for read in cls.reads]
        for name, cls in known.items()
        if cls.__module__.startswith(f"{ops.__name__}.")
    }


def markdown() -> str:
    """The table of README.md: what a model may be made of, part by part."""
    lines = ["| part of a model | op | may follow |", "|---|---|---|"]
    for name, inputs in follows().items():
        lines.append(f"| {_float_op(name).words()} | `{name}` | {'; '.join(inputs)} |")
    return "\n".join(lines)


def _float_op(name: str) -> type[FloatOp]:
    found = REGISTRY[name]
    if not issubclass(found, FloatOp):
        raise TypeError(f"{name} must be an op of float graphs")
    return found
