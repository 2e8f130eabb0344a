# SPDX-License-Identifier: Apache-2.0
"""README.md: its example runs, and it has every verb."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import hlsgen
from hlsgen.cli import VERBS, main
from hlsgen.frontend.inputs.shipped import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _example() -> str:
    (code,) = re.findall(r"tests/whole/test_readme.py runs this -->\n```python\n(.*?)```", README, re.DOTALL)
    return code


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(_example(), "README.md", "exec"), {})  # noqa: S102 the README's own text
    accuracy, shape, elements, *report = capsys.readouterr().out.splitlines()
    assert float(accuracy) > 0.98
    assert shape == "(1, 4, 17, 17)"
    assert re.fullmatch(r"\d+ elements equal", elements)
    assert report[0].startswith("array      4x4x8")
    assert hlsgen.Design.load(tmp_path / "build/digits").board == "ulx3s-85f"


def test_the_output_below_the_first_two_commands_is_real(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but decibels, which depend on the processor's float arithmetic."""
    begin = README.partition("## Start")[2]
    (shown,) = re.findall(r"^```text\n(images .*?)^```", begin, re.MULTILINE | re.DOTALL)
    hlsgen.build("digits", tmp_path / "demo", board="ulx3s-85f", array="4x4x8")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "demo"), "--level", "csim", "-q"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    *wanted, decibels = shown.splitlines()
    assert lines == wanted
    assert re.sub(r"[\d.]+", "N", last) == re.sub(r"[\d.]+", "N", decibels)


@pytest.mark.parametrize("text", ["README.md", "compile", "inspect"])
def test_every_shipped_example_is_named(text: str) -> None:
    shown = README if text == "README.md" else import_module(f"hlsgen.cli.{text}").EPILOG
    (named,) = re.findall(r"MODEL is a shipped example.*?(?:examples/vit|\n\n|\.\n)", shown, re.DOTALL)
    assert [name for name in SHIPPED if not re.search(rf"(?<![\w-]){name}(?![\w-])", named)] == []


def test_every_verb_stands_in_the_table_of_commands() -> None:
    assert re.findall(r"^\| `hlsgen (\w+)", README, re.MULTILINE) == list(VERBS)
