# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the import statements, and what `import hlsgen` must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOTS = ("ir", "numerics", "errors")

# package or module of hlsgen -> what of hlsgen it may import at all, lazily or not
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "ir": ("errors",),
    "numerics": ("errors",),
    "erf": (),
    "ops": (*ROOTS, "erf"),
    "passes": (*ROOTS, "ops"),
    "machine": ROOTS,
    "lower": (*ROOTS, "ops", "machine"),
    "frontend": (*ROOTS, "ops", "passes", "examples", "nn"),
    "quantize": (*ROOTS, "ops", "passes"),
    "boards": (*ROOTS, "machine"),
    "rtl": (*ROOTS, "machine"),
    "examples": ("nn",),
    "nn": ("errors", "ops"),
    "templates": (),
    "graph_file": (*ROOTS, "ops", "store"),
    "store": ("errors",),
    "samples": (*ROOTS, "machine"),
    "doctor": ("errors",),
    "coverage": (),
}

# third party -> the packages that may import it
OWNERS = {
    "torch": ("frontend", "examples", "nn"),
    "amaranth": ("rtl", "emit"),
    "cocotb": ("sim",),
    "cocotb_tools": ("sim",),
    "jinja2": ("emit",),
    "sklearn": ("examples",),
    "threadpoolctl": ("quantize",),
    "transformers": ("examples",),
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
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _own(name: str) -> str | None:
    """The part of hlsgen that an import names, or nothing."""
    parts = name.split(".")
    return parts[1] if parts[0] == "hlsgen" and len(parts) > 1 else None


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_it_may(part: str) -> None:
    files = [path for name, path in _files() if name == part]
    assert files
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(_imports(path))
        if (own := _own(name)) and own != part and own not in ALLOWED[part]
    ]
    assert not wrong


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


HEAVY = {"numpy", "torch", "amaranth", "cocotb", "jinja2", "sklearn", "scipy", "safetensors", "transformers"}


def test_importing_hlsgen_loads_nothing_heavy() -> None:
    assert not _loaded("import hlsgen") & HEAVY


@pytest.mark.parametrize(
    "verb", ["", "doctor", "inspect", "compile", "simulate", "export", "bitstream", "ops"]
)
def test_help_loads_nothing_heavy(verb: str) -> None:
    arguments = [*verb.split(), "--help"]
    assert not _loaded(f"from hlsgen.cli import main\nmain({arguments})") & HEAVY


def test_the_compiler_without_front_end_needs_no_torch() -> None:
    code = "import hlsgen.pipeline, hlsgen.project, hlsgen.simulate, hlsgen.report, hlsgen.quantize"
    assert not _loaded(code) & (HEAVY - {"numpy", "safetensors"})
