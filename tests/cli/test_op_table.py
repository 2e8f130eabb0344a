# SPDX-License-Identifier: Apache-2.0
"""The op x place matrix: complete, and it names the exact path when something is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hlsgen.cli import op_table as coverage

ROOT = Path(__file__).resolve().parents[2]


def test_no_op_lacks_a_place() -> None:
    assert coverage.missing(coverage.matrix()) == []


def test_every_unit_of_load_and_drain_has_its_op() -> None:
    used = {mode for row in coverage.matrix() for mode in row.modes}
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
        (
            "templates/hls/drain_add.hpp",
            ["add, HLS C++: templates/hls/drain_add.hpp", "constant, HLS C++: templates/hls/drain_add.hpp"],
        ),
        (
            "hlsgen/machine/modes/drain_add.py",
            [
                "add, interpreter: hlsgen/machine/modes/drain_add.py",
                "constant, interpreter: hlsgen/machine/modes/drain_add.py",
            ],
        ),
        ("rtl/load/patches.py", ["patches, RTL: rtl/load/patches.py"]),
        (
            "rtl/load/exp.py",
            ["context, RTL: rtl/load/exp.py", "softmax, RTL: rtl/load/exp.py"],
        ),
        (
            "rtl/drain/attention.py",
            [f"{op}, RTL: rtl/drain/attention.py" for op in ("context", "mixed_scores", "scores")],
        ),
    ],
)
def test_a_missing_file_is_named(tree: Path, path: str, complaints: list[str]) -> None:
    (tree.parent / path).unlink()
    assert coverage.missing(coverage.matrix(tree)) == complaints


def test_a_mode_that_the_machine_does_not_have_is_named(tree: Path) -> None:
    """It once passed when the word stood anywhere in the interpreter."""
    path = tree / "ops/add.py"
    path.write_text(path.read_text().replace('("drain_add",)', '("drain_add", "drain_requantise")'))
    assert [line for line in coverage.missing(coverage.matrix(tree)) if "interpreter" in line] == [
        "add, interpreter: hlsgen/machine/modes/table.py: no mode has drain_requantise",
        "add, interpreter: hlsgen/machine/modes/drain_requantise.py",
    ]


def test_a_new_op_is_missing_everywhere_until_it_is_there(tree: Path) -> None:
    (tree / "ops/rotate.py").write_text(
        "@op\nclass Rotate:\n    def reference(self): ...\n\n\n"
        "@op\nclass IntegerRotate:\n    def golden(self): ...\n"
    )
    assert coverage.missing(coverage.matrix(tree)) == [
        "rotate, front end: hlsgen/frontend/rules/: no rule makes Rotate",
        "rotate, quantizer: hlsgen/quantization/rules/: no rule for Rotate",
        "rotate, quantizer: hlsgen/quantization/rules/: no rule makes IntegerRotate",
        "rotate, lowering: hlsgen/lower/: nothing uses IntegerRotate",
        "rotate, interpreter: hlsgen/ops/rotate.py: no class names its units of the machine",
        "rotate, test: tests/ops/: nothing uses Rotate",
        "rotate, test: tests/ops/: nothing uses IntegerRotate",
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "complaints"),
    [
        (
            "frontend/rules/arrange.py",
            "Transpose(",
            "Linear(",
            ["transpose, front end: hlsgen/frontend/rules/: no rule makes Transpose"],
        ),
        (
            "frontend/rules/mixture.py",
            "@rule(",
            "@print(",
            ["choose, front end: hlsgen/frontend/rules/: no rule makes Choose"],
        ),
        (
            "quantization/rules/norm.py",
            "@rule(Norm)",
            "",
            [
                "layer_norm, quantizer: hlsgen/quantization/rules/: no rule for LayerNorm",
                "rms_norm, quantizer: hlsgen/quantization/rules/: no rule for RMSNorm",
            ],
        ),
        (
            "quantization/rules/route.py",
            "return IntegerRoute(",
            "return dict(",
            ["route, quantizer: hlsgen/quantization/rules/: no rule makes IntegerRoute"],
        ),
    ],
)
def test_an_op_that_no_rule_handles_is_missing(
    tree: Path, path: str, old: str, new: str, complaints: list[str]
) -> None:
    """Naming the class is not enough: a rule must make it."""
    text = (tree / path).read_text()
    assert old in text
    (tree / path).write_text(text.replace(old, new))
    assert coverage.missing(coverage.matrix(tree)) == complaints


def test_what_an_op_may_follow_is_its_own_grammar() -> None:
    found = coverage.follows()
    assert found["Linear"] == ["rows of tokens or patches"]
    assert found["Patches"] == ["the image"]
    assert found["Scores"] == ["rows of tokens", "rows of tokens"]
    assert found["Route"] == ["a linear layer or a choice by task"]
    text = coverage.text(coverage.matrix())
    assert re.search(r"\nSelect +rows of tokens\n", text)


def test_an_installed_package_has_no_test_column(tree: Path) -> None:
    shutil.rmtree(tree.parent / "tests")
    rows = coverage.matrix(tree)
    assert "test" not in rows[0].missing
    assert coverage.missing(rows) == []


def test_the_readme_shows_this_table() -> None:
    assert coverage.markdown() in (ROOT / "README.md").read_text()
