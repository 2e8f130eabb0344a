# SPDX-License-Identifier: Apache-2.0
"""The tree: the package list is the tree, tests mirror it, the rules of the house hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPDX = "SPDX-License-Identifier: Apache-2.0"
LONGEST = 400
"""Lines of a file."""
LONGEST_FUNCTION = 40
"""Lines of a function, its docstring apart: a table of arguments is no code."""
TOP_LEVEL = ("examples", "rtl", "sim", "templates")
"""Folders at the top that are packages inside `hlsgen`, by a link and an entry in pyproject.toml."""


def _packages() -> dict[str, Path]:
    """Every folder with an `__init__.py` and its package name."""
    found = {"hlsgen": ROOT / "hlsgen"}
    for top in (ROOT / "hlsgen", *(ROOT / name for name in TOP_LEVEL)):
        for init in top.rglob("__init__.py"):
            folder = init.parent
            parts = folder.relative_to(ROOT).parts
            if any((ROOT / Path(*parts[: i + 1])).is_symlink() for i in range(len(parts))):
                continue
            name = ".".join(parts if parts[0] == "hlsgen" else ("hlsgen", *parts))
            found[name] = folder
    return found


def test_the_package_list_is_the_tree() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = _packages()
    assert sorted(setuptools["packages"]) == sorted(packages)
    placed = {name: str(path.relative_to(ROOT)) for name, path in packages.items()}
    mapped = {name: path for name, path in placed.items() if path.split("/")[0] in TOP_LEVEL}
    mapped["hlsgen"] = "hlsgen"
    assert setuptools["package-dir"] == mapped


def test_every_data_file_of_a_package_is_installed() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    lost = []
    packages = _packages()
    for name, folder in packages.items():
        installed = {path for pattern in patterns.get(name, ()) for path in folder.glob(pattern)}
        for path in folder.rglob("*"):
            inside = path.relative_to(folder)
            mine = not any(
                other != folder and path.is_relative_to(other)
                for other in packages.values()
                if other.is_relative_to(folder)
            )
            data = path.is_file() and path.suffix not in (".py", ".pyc") and not path.is_symlink()
            hidden = any(
                (folder / Path(*inside.parts[: i + 1])).is_symlink() for i in range(len(inside.parts))
            )
            if mine and data and not hidden and path not in installed:
                lost.append(str(path.relative_to(ROOT)))
    assert not lost


def test_the_links_point_to_the_top_level_folders() -> None:
    for name in TOP_LEVEL:
        link = ROOT / "hlsgen" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name


OTHER_TESTS = {
    "benchmarks": "of the campaigns in benchmarks/",
    "docs": "of the pages in docs/, README.md and CONTRIBUTING.md",
    "golden": "texts that tests compare with",
    "notebooks": "of notebooks/",
    "mock_tools": "stubs of tools that are not here",
    "rules": "of the tree itself",
    "support": "what several tests need",
    "whole": "of the whole way, from a model to every level",
}
NO_TESTS = {
    "examples": "tests/frontend and tests/whole run them",
    "templates": "tests/emit renders them, tests/sim runs them",
    "rtl/format": "layouts; every stage's test uses them",
    "rtl/sequence": "tests/rtl/core runs programs; tests/rtl/test_netlists.py each component alone",
}
FLAT = ("examples", "templates")


def _folders(root: Path) -> set[str]:
    """Folders below one of the tree's, two levels deep, caches and empty ones apart."""
    found = {path.parent for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    names = {path.relative_to(root).parts for path in found}
    return {"/".join(parts[:depth]) for parts in names for depth in (1, 2) if len(parts) >= depth}


def test_test_folders_mirror_the_tree() -> None:
    parts = {name.replace(".", "/").removeprefix("hlsgen/") for name in _packages()} - {"hlsgen"}
    mirrored = {part for part in parts if part.split("/")[0] not in FLAT} - NO_TESTS.keys()
    tests = {name for name in _folders(ROOT / "tests") if name.split("/")[0] not in OTHER_TESTS}
    assert tests == mirrored
    assert (NO_TESTS.keys() - set(FLAT)) <= parts


def test_the_top_is_no_heap() -> None:
    assert len(list((ROOT / "hlsgen").glob("*.py"))) <= 10
    heaps = {
        str(path.relative_to(ROOT)): count
        for path in _packages().values()
        if path.is_relative_to(ROOT / "rtl")
        if (count := len(list(path.glob("*.py"))) - 1) > 12
    }
    assert not heaps


def _sources() -> list[Path]:
    """Every Python file of ours."""
    packages = [path for folder in _packages().values() for path in folder.glob("*.py")]
    others = [path for name in ("tests", "benchmarks", "scripts") for path in (ROOT / name).rglob("*.py")]
    return packages + others


def test_no_file_is_too_long_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in _sources()
        if (count := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring apart."""
    first, lines = function.body[0], (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    return lines - ((first.end_lineno or 0) - first.lineno + 1)


def test_no_function_is_too_long_to_read() -> None:
    long = {
        f"{path.relative_to(ROOT)}: {node.name}": lines
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := _code_lines(node)) > LONGEST_FUNCTION
    }
    assert not long


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_requirement_is_constrained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        line.split("[")[0].split(">")[0].split("=")[0].split("<")[0].lower()
        for lines in (project["dependencies"], *project["optional-dependencies"].values())
        for line in lines
    } - {"hlsgen"}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pinned = {line.split("==")[0].lower() for line in lines}
    assert all("==" in line for line in lines)
    assert wanted <= pinned


def test_every_pin_has_hashes_but_torch() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = {line.lower().replace("_", "-") for line in constraints.splitlines() if "==" in line}
    hashed: dict[str, int] = {}
    for name in ("requirements.txt", "requirements-dev.txt"):
        for block in re.split(r"(?<!\\)\n", (ROOT / name).read_text()):
            if "==" in block:
                assert block.split()[0] not in hashed
                hashed[block.split()[0].replace("_", "-")] = len(
                    re.findall(r"--hash=sha256:[0-9a-f]{64}", block)
                )
    assert pinned - hashed.keys() == {line for line in pinned if line.startswith("torch==")}
    assert hashed.keys() <= pinned
    assert all(hashed.values())


SOURCES = (
    *(
        "*.py",
        "*.hpp",
        "*.cpp",
        "*.c",
        "*.h",
        "*.S",
        "*.ld",
        "*.v",
        "*.vlt",
        "*.toml",
        "*.html",
        "*.ys",
        "*.tcl",
        "*.cfg",
        "*.lpf",
        "*.cst",
        "*.sdc",
        "*.xdc",
    ),
    *("Makefile", "setup", "run", "yosys", "vivado", "nextpnr-ecp5", "ecppack", "gowin_pack", "MANIFEST.in"),
)


def test_every_source_names_its_licence() -> None:
    folders = (".ci", "benchmarks", "examples", "hlsgen", "rtl", "scripts", "sim", "templates", "tests")
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    sources = [
        path
        for path in [*files, *ROOT.glob("[!s]*")]
        if any(Path(path.name.removesuffix(".j2")).match(pattern) for pattern in SOURCES)
    ]
    assert len(sources) > 400
    assert [str(path) for path in sources if SPDX not in "".join(path.read_text().splitlines(True)[:2])] == []
