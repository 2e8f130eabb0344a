# SPDX-License-Identifier: Apache-2.0
"""The op x place matrix: complete, and it names the exact path when something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hlsgen.cli import op_table as coverage

ROOT = Path(__file__).resolve().parents[2]


def test_no_op_lacks_a_place() -> None:
    assert coverage.missing(coverage.matrix()) == []


def test_every_op_file_has_its_modes_and_every_mode_its_op() -> None:
    stems = {path.stem for path in (ROOT / "hlsgen/ops").glob("*.py")} - {"__init__"}
    assert set(coverage.USES) == stems
    used = {mode for modes in coverage.USES.values() for mode in modes}
    assert used == {mode.name for mode in coverage.MODES}


def test_every_mode_file_of_the_cpp_is_a_mode() -> None:
    """The C++ has one header for each mode and no other of these names."""
    names = {mode.name for mode in coverage.MODES}
    headers = {path.stem for path in (ROOT / "templates/hls").glob("*.hpp")}
    assert {name for name in headers if name.startswith(("load_", "drain_"))} == names


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the matrix reads; returns its package."""
    for name in ("hlsgen", "rtl", "templates", "tests"):
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", "sim_build"),
        )
    return tmp_path / "hlsgen"


@pytest.mark.parametrize(
    ("path", "complaints"),
    [
        ("templates/hls/drain_add.hpp", ["add, HLS C++: templates/hls/drain_add.hpp"]),
        ("hlsgen/machine/modes/drain_add.py", ["add, interpreter: hlsgen/machine/modes/drain_add.py"]),
        ("rtl/load/patches.py", ["patches, RTL: rtl/load/patches.py"]),
        (
            "rtl/load/exp.py",
            ["context, RTL: rtl/load/exp.py", "softmax, RTL: rtl/load/exp.py"],
        ),
        (
            "rtl/drain/attention.py",
            ["context, RTL: rtl/drain/attention.py", "scores, RTL: rtl/drain/attention.py"],
        ),
    ],
)
def test_a_missing_file_is_named(tree: Path, path: str, complaints: list[str]) -> None:
    (tree.parent / path).unlink()
    assert coverage.missing(coverage.matrix(tree)) == complaints


def test_a_mode_that_the_machine_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It once passed when the word stood anywhere in the interpreter."""
    monkeypatch.setitem(coverage.USES, "add", ("drain_add", "drain_requantise"))
    assert [line for line in coverage.missing(coverage.matrix()) if "interpreter" in line] == [
        "add, interpreter: hlsgen/machine/modes/table.py: no mode has drain_requantise",
        "add, interpreter: hlsgen/machine/modes/drain_requantise.py",
    ]


def test_a_new_op_is_missing_everywhere_until_it_is_there(tree: Path) -> None:
    (tree / "ops/rotate.py").write_text(
        "class Rotate:\n    def reference(self): ...\n\n\nclass IntegerRotate:\n    def golden(self): ...\n"
    )
    assert coverage.missing(coverage.matrix(tree)) == [
        "rotate, front end: hlsgen/frontend/: nothing uses Rotate",
        "rotate, quantizer: hlsgen/quantization/: nothing uses Rotate",
        "rotate, quantizer: hlsgen/quantization/: nothing uses IntegerRotate",
        "rotate, lowering: hlsgen/lower/: nothing uses IntegerRotate",
        "rotate, interpreter: hlsgen/cli/op_table.py: no modes for rotate",
        "rotate, test: tests/ops/: nothing uses Rotate",
        "rotate, test: tests/ops/: nothing uses IntegerRotate",
    ]


def test_an_installed_package_has_no_test_column(tree: Path) -> None:
    shutil.rmtree(tree.parent / "tests")
    rows = coverage.matrix(tree)
    assert "test" not in rows[0].missing
    assert coverage.missing(rows) == []


def test_the_readme_shows_this_table() -> None:
    assert coverage.markdown(coverage.matrix()) in (ROOT / "README.md").read_text()
