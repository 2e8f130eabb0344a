# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the import statements, and what `import hlsgen` must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "version", "templates", "display"),
    ("windows", "numerics", "progress", "quantizers"),
    ("ir",),
    ("ops",),
    ("nn",),
    ("machine", "examples", "frontend", "quantization"),
    ("lower", "boards", "rtl"),
    ("store", "host"),
    ("fit", "executors"),
    ("configuration",),
    ("emit",),
    ("sim", "report"),
    ("bitstream", "evaluation"),
    ("design",),
    ("explore",),
    ("pipeline",),
    ("demo",),
    ("cli",),
    ("__init__", "__main__"),
)
"""Every part of hlsgen, from the ground up: a part imports from floors below its own, lazily or not."""

ALLOWED: dict[str, tuple[str, ...]] = {
    "windows": ("errors",),
    "progress": (),
    "quantizers": (),
    "ir": ("display", "errors", "progress", "quantizers", "windows"),
    "display": (),
    "numerics": ("errors",),
    "ops": ("errors", "ir", "numerics", "windows"),
    "nn": ("errors", "ops"),
    "machine": ("errors", "numerics", "windows"),
    "examples": ("nn",),
    "frontend": ("display", "errors", "ir", "nn", "ops", "progress", "quantizers", "windows"),
    "quantization": ("display", "errors", "ir", "numerics", "ops", "progress", "quantizers"),
    "lower": ("display", "errors", "ir", "machine", "ops", "windows"),
    "boards": ("errors", "machine"),
    "rtl": ("errors", "numerics", "machine"),
    "store": ("display", "errors", "version", "ir", "ops", "machine", "boards"),
    "host": ("errors", "progress"),
    "executors": ("errors", "host", "progress", "version"),
    "fit": ("errors", "ir", "machine", "lower", "boards"),
    "configuration": ("errors", "fit", "quantization"),
}
"""Parts that import less than their floor allows."""

CHAINS: dict[str, tuple[tuple[str, ...], ...]] = {
    "machine": (("format",), ("modes",), ("run",), ("time",)),
    "frontend": (
        ("read",),
        ("rules",),
        ("outline", "compare"),
        ("quantizers",),
        ("capture",),
        ("inspect",),
        ("inputs",),
    ),
    "rtl": (
        ("parts",),
        ("arith",),
        ("format",),
        ("array", "load", "experts"),
        ("drain",),
        ("sequence",),
        ("core",),
        ("outside",),
        ("board",),
        ("ecp5", "gowin"),
    ),
}
"""Folders of a part, in the order in which they may import each other."""

# third party -> the packages that may import it
OWNERS = {
    "torch": ("frontend", "examples", "nn"),
    "amaranth": ("rtl", "emit"),
    "cocotb": ("sim",),
    "cocotb_tools": ("sim",),
    "jinja2": ("emit",),
    "packaging": ("cli",),
    "sklearn": ("examples",),
    "threadpoolctl": ("quantization",),
    "transformers": ("examples", "frontend"),
    "onnx": ("frontend",),
    "PIL": ("frontend",),
    "pydantic": ("configuration",),
    "pydantic_core": ("configuration",),
    "tomli_w": ("configuration",),
    "distributed": ("executors",),
    "dask_jobqueue": ("executors",),
    "rich": ("progress",),
    "argcomplete": ("cli",),
}


def _files() -> list[tuple[str, Path]]:
    """(package or module below hlsgen, file)."""
    files = [(path.stem, path) for path in (ROOT / "hlsgen").glob("*.py")]
    for folder in sorted((ROOT / "hlsgen").iterdir()):
        if folder.is_dir() and folder.name != "__pycache__":
            target = folder.resolve()
            files += [(folder.name, path) for path in sorted(target.rglob("*.py"))]
    return files


def _imports(path: Path) -> set[str]:
    """Full names of everything a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = _module(path).split(".")[: -node.level] if node.level else []
            names |= {".".join([*home, node.module or "", alias.name]) for alias in node.names}
    return names


def _own(name: str) -> str | None:
    """The part of hlsgen that an import names, or nothing."""
    parts = name.split(".")
    if parts[0] != "hlsgen":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in PARTS else "__init__"


PARTS = {part for part, _ in _files()}
LEVEL = {part: level for level, floor in enumerate(FLOORS) for part in floor}


def test_every_part_has_its_floor() -> None:
    assert sorted(LEVEL) == sorted(PARTS)
    assert ALLOWED.keys() <= PARTS


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_imports_only_what_lies_below(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for name_of, path in _files()
        if name_of == part
        for name in sorted(_imports(path))
        if (own := _own(name)) and own != part
        if LEVEL[own] >= LEVEL[part] or own not in ALLOWED.get(part, PARTS)
    ]
    assert not wrong


@pytest.mark.parametrize("part", sorted(CHAINS))
def test_the_folders_of_a_part_are_a_chain(part: str) -> None:
    level = {name: index for index, names in enumerate(CHAINS[part]) for name in names}
    found = {_room(part, path): path for name, path in _files() if name == part and path.stem != "__init__"}
    assert sorted(found) == sorted(level)
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for name_of, path in _files()
        if name_of == part and path.stem != "__init__"
        for name in sorted(_imports(path))
        if _own(name) == part and (room := name.split(".")[2]) != (mine := _room(part, path))
        if level[room] >= level[mine]
    ]
    assert not wrong


def _room(part: str, path: Path) -> str:
    """The folder or module of a part that a file is or lies in."""
    parts = path.resolve().relative_to(ROOT).with_suffix("").parts
    return parts[parts.index(part) + 1]


def test_no_file_imports_itself_in_a_circle() -> None:
    """Not even lazily, or for types alone: a circle of files is one file in pieces."""
    named = {_module(path): path for _, path in _files()}
    arrows = {
        name: {found for item in _imports(path) if (found := _file(item, named)) and found != name}
        for name, path in named.items()
    }
    while leaves := [name for name, to in arrows.items() if not to & arrows.keys()]:
        for name in leaves:
            del arrows[name]
    assert not arrows


def _module(path: Path) -> str:
    """The full name of a file of hlsgen."""
    parts = path.resolve().relative_to(ROOT).with_suffix("").parts
    inside = parts[1:] if parts[0] == "hlsgen" else parts
    return ".".join(("hlsgen", *(name for name in inside if name != "__init__")))


def _file(name: str, named: dict[str, Path]) -> str | None:
    """The file of hlsgen that an imported name stands in, or is."""
    parent = name.rpartition(".")[0]
    return name if name in named else parent if parent in named else None


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_third_party_package_has_its_owner(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {package}"
        for part, path in _files()
        if part not in OWNERS[package] and any(name.split(".")[0] == package for name in _imports(path))
    ]
    assert not wrong


def test_the_rtl_never_sees_a_graph() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for part, path in _files()
        if part == "rtl" and any(_own(name) in ("ir", "ops") for name in _imports(path))
    ]
    assert not wrong


def _loaded(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stderr.split()}


HEAVY = {
    "numpy",
    "torch",
    "amaranth",
    "cocotb",
    "jinja2",
    "sklearn",
    "scipy",
    "safetensors",
    "transformers",
    "onnx",
}


def test_importing_hlsgen_loads_nothing_heavy() -> None:
    assert not _loaded("import hlsgen") & HEAVY


@pytest.mark.parametrize(
    "verb",
    ["", "doctor", "inspect", "compile", "explore", "simulate", "export", "bitstream", "demo", "ops"],
)
def test_help_loads_nothing_heavy(verb: str) -> None:
    arguments = [*verb.split(), "--help"]
    assert not _loaded(f"from hlsgen.cli import main\nmain({arguments})") & HEAVY


def test_the_compiler_without_front_end_needs_no_torch() -> None:
    code = (
        "import hlsgen.pipeline, hlsgen.store.folder, hlsgen.sim.levels, hlsgen.report, hlsgen.quantization"
    )
    assert not _loaded(code) & (HEAVY - {"numpy", "safetensors"})
