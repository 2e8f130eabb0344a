# SPDX-License-Identifier: Apache-2.0
"""Every error that a user can see has a code, every code a page, and every page's kind happens."""

from __future__ import annotations

import ast
import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.said import without_steps

from hlsgen import errors
from hlsgen.cli import main
from hlsgen.errors.codes import Code
from hlsgen.errors.pages import PAGES, text

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for part in ("hlsgen", "rtl", "sim", "examples") for path in (ROOT / part).rglob("*.py")]


def _classes() -> list[type[errors.HlsgenError]]:
    """The classes of errors that a user sees."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, errors.HlsgenError)]


def test_every_code_has_a_page_and_no_page_is_of_another() -> None:
    assert list(PAGES) == list(Code)
    for code, page in PAGES.items():
        assert all((page.title, page.means, page.example, page.remedy)), code
        assert text(code).startswith(f"{code}: {page.title}\n")


def test_every_error_carries_the_code_of_its_class_or_its_place() -> None:
    for kind in _classes():
        assert [problem.code for problem in kind("x").problems] == [kind.code]
        if issubclass(kind, errors.ToolFailed):
            continue  # it has one problem, made of the tool's command and output
        own = kind([errors.Problem("x"), errors.Problem("y", code=Code.BUSY)], code=Code.STALE)
        assert [problem.code for problem in own.problems] == [Code.STALE, Code.BUSY]


def _raised(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Names of classes of errors that a file makes, with the calls."""
    names = {kind.__name__ for kind in _classes()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in names:
                yield name, node


def test_every_raise_names_a_registered_code_and_every_code_is_raised() -> None:
    used, wrong = set(), []
    for path in SOURCES:
        for name, call in _raised(path):
            given = next((item.value for item in call.keywords if item.arg == "code"), None)
            if given is None:
                used.add(getattr(errors, name).code)
                continue
            known = ast.unparse(given).removeprefix("Code.") in Code.__members__
            if known:
                used.add(Code[ast.unparse(given).removeprefix("Code.")])
            elif ast.unparse(given) not in ("code", "found"):  # a class hands on what it was given
                wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(given)}")
            if name == "HlsgenError":
                wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: the base is no error")
    assert not wrong
    for path in SOURCES:  # problems have codes of their own, and a defect has no class
        used |= {code for code in Code if f"Code.{code.name}" in path.read_text() and path.name != "pages.py"}
    assert set(Code) - used == set()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("simulate", "x", "--level", "gates"), Code.CALL),
        (("compile", "digits", "-o", "/proc/digits"), Code.WRITE),
        (("compile", "--config", "missing.toml", "-o", "x"), Code.READ),
        (("report", "/"), Code.FOLDER),
        (("inspect", "digitz"), Code.MODEL),
        (("compile", "a:b", "-o", "x"), Code.IMAGES),
        (("compile", "digits", "--board", "nexys", "-o", "x"), Code.BOARD),
        (("compile", "digits", "--array", "8x8", "-o", "x"), Code.MACHINE),
        (("compile", "digits", "--board", "tang-nano-20k", "--array", "16x16x16", "-o", "x"), Code.FIT),
    ],
)
def test_the_examples_of_pages_give_their_codes(
    arguments: tuple[str, ...],
    code: Code,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert without_steps(err).endswith(f"\n  more: hlsgen explain {code}\n")
    assert json.loads(out)["code"] == code
    assert {problem["code"] for problem in json.loads(out)["problems"]} == {code}


def test_entries_of_a_file_have_the_file_s_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    for entry, code in (
        ('[machine]\nbord = "zcu102"\n', "HG008"),
        ("[quantizer]\nlogit_width = 20\n", "HG009"),
    ):
        path.write_text(entry)
        assert main(["compile", "digits", "--config", str(path), "-o", str(tmp_path / "x"), "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["code"] == code


@pytest.mark.parametrize(("number", "fix"), [(errno.ENOSPC, "make room"), (errno.EROFS, "choose another")])
def test_a_place_that_cannot_be_written_is_one_line_wherever_it_is_met(
    number: int, fix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError(number, "no", "/place/file")

    monkeypatch.setattr("hlsgen.cli.ops.run", fail)
    assert main(["ops"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"hlsgen: error: /place/file can't be written: no\n  fix: {fix}")
    assert said.endswith("  more: hlsgen explain HG002\n")


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(Code)
    assert main(["explain", "hg007", "HG001"]) == 0
    assert capsys.readouterr().out == f"{text(Code.STALE)}\n\n{text(Code.CALL)}\n"
    assert main(["explain", "HG999"]) == 2
    assert "CODE must be one of HG001..HG900, not 'HG999'" in capsys.readouterr().err
    assert main(["explain", "--json", "HG900"]) == 0
    assert json.loads(capsys.readouterr().out)["pages"][0]["title"] == "a defect of hlsgen"
