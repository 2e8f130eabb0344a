# SPDX-License-Identifier: Apache-2.0
"""Messages, JSON and exit codes of the command line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from support.said import without_steps

from hlsgen import errors
from hlsgen.cli import VERBS, main
from hlsgen.cli.answer import Answer
from hlsgen.errors import ClippedInput


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, without_steps(captured.err)

    return call


def test_version(run: Any) -> None:
    import hlsgen

    assert run("--version") == (0, f"hlsgen {hlsgen.__version__}\n", "")


def test_help_names_every_verb_and_exit_code(run: Any) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for verb in VERBS:
        assert f"\n    {verb}" in out
    for value in (0, 2, 3, 4, 5, 6, 7, 70):
        assert f" {value} " in out.partition("exit codes:")[2]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(run: Any, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert "--json" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), ("hlsgen: error: a verb is needed: "
             "doctor, inspect, init, compile, tune, explore, simulate, evaluate, export, bitstream, report, "
             "demo, ops, explain\n"
             "  fix: hlsgen --help shows what they do\n"
             "  more: hlsgen explain HG001\n")),
        (("compile", "digits"), ("hlsgen: error: the following arguments are required: -o/--output\n"
                                "  fix: hlsgen compile --help shows what it takes\n"
          "  more: hlsgen explain HG001\n")),
        (("simulate", "x", "--level", "gates"),
         ("hlsgen: error: argument --level: invalid choice: 'gates' "
          "(choose from 'program', 'csim', 'rtl', 'soc')\n"
         "  fix: hlsgen simulate --help shows what it takes\n"
          "  more: hlsgen explain HG001\n")),
        (("simulate", "x", "--samples", "0"),
         ("hlsgen: error: argument --samples: must be a positive integer, not '0'\n"
         "  fix: hlsgen simulate --help shows what it takes\n"
          "  more: hlsgen explain HG001\n")),
        (("compile", "digits", "-o", "x", "--ring", "-5"),
         ("hlsgen: error: argument --ring: must be a positive integer, not '-5'\n"
         "  fix: hlsgen compile --help shows what it takes\n"
          "  more: hlsgen explain HG001\n")),
        (("simulate", "/nowhere"),
         ("hlsgen: error: /nowhere must be a build folder\n"
         "  why: it has no manifest.json\n"
         "  fix: hlsgen compile makes one\n"
          "  more: hlsgen explain HG005\n")),
        (("inspect", "digits", "--shape", "8x8"),
         ("hlsgen: error: argument --shape: shape must be CxHxW, for example 3x224x224, not '8x8'\n"
         "  fix: hlsgen inspect --help shows what it takes\n"
          "  more: hlsgen explain HG001\n")),
        (("compile", "some.module:factory", "-o", "x"),
         ("hlsgen: error: calibration images are needed\n"
         "  why: integer ranges come from what the model sees in use\n"
         "  fix: --calibration images.npy, some hundred preprocessed images [N, C, H, W]\n"
          "  more: hlsgen explain HG030\n")),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_and_exits_with_2(run: Any, arguments: tuple[str, ...], message: str) -> None:
    assert run(*arguments) == (2, "", message)


def test_errors_are_json_too(run: Any) -> None:
    code, out, err = run("simulate", "/nowhere", "--json")
    assert (code, err) == (2, "")
    assert json.loads(out) == {
        "exit_code": 2,
        "error": "UsageError",
        "code": "HG005",
        "problems": [
            {
                "what": "/nowhere must be a build folder",
                "where": "",
                "why": "it has no manifest.json",
                "fix": "hlsgen compile makes one",
                "name": "",
                "log": "",
                "code": "HG005",
            }
        ],
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.CalibrationError("x"), 2),
        (errors.UnsupportedModel("x"), 3),
        (errors.RangeOverflow("x"), 3),
        (errors.DoesNotFit("x"), 4),
        (errors.Mismatch("x"), 5),
        (errors.ToolMissing("x"), 6),
        (errors.ToolFailed("x"), 7),
    ],
)
def test_exit_codes(run: Any, monkeypatch: pytest.MonkeyPatch, error: errors.HlsgenError, code: int) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("hlsgen.cli.ops.run", fail)
    assert run("ops") == (code, "", f"hlsgen: error: x\n  more: hlsgen explain {error.code}\n")


def test_several_problems_are_numbered(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise errors.UnsupportedModel([errors.Problem("first", where="a.py:1"), errors.Problem("second")])

    monkeypatch.setattr("hlsgen.cli.ops.run", fail)
    text = "hlsgen: error: 2 problems\n1. first\n   where: a.py:1\n2. second\n  more: hlsgen explain HG101\n"
    assert run("ops") == (3, "", text)


def test_a_defect_leaves_one_line_and_a_crash_file(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("a\nb \udc80")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hlsgen.cli.ops.run", fail)
    code, out, err = run("ops", "--markdown")
    (path,) = tmp_path.glob("hlsgen-crash-*.txt")
    assert (code, out) == (70, "")
    assert err == f"hlsgen: internal error: ZeroDivisionError: a b \\udc80; please report {path}\n"
    text = path.read_text()
    assert "Traceback" in text
    assert "['ops', '--markdown']" in text
    code, out, _ = run("ops", "--json")
    assert json.loads(out)["what"] == "ZeroDivisionError: a b \\udc80"
    assert json.loads(out)["exit_code"] == code == 70


def test_an_interrupt_is_no_defect(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hlsgen.cli.ops.run", fail)
    assert run("ops") == (130, "", "hlsgen: interrupted\n")


def test_ops_prints_the_matrix(run: Any) -> None:
    code, out, _ = run("ops", "--json")
    rows = {row["op"]: row for row in json.loads(out)["rows"]}
    assert code == 0
    assert rows["softmax"]["classes"] == ["Softmax", "IntegerExp"]
    assert rows["layer_norm"]["places"]["HLS C++"] is True
    assert run("ops")[1].splitlines()[0].startswith("op ")
    assert run("ops", "--markdown")[1].startswith("| part of a model | op | may follow |")


def test_a_warning_is_a_line_without_a_place_in_our_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace) -> Answer:
        warnings.warn("31.0 % of the pixels are clipped", ClippedInput, stacklevel=1)
        return Answer({}, "done")

    monkeypatch.setattr("hlsgen.cli.ops.run", run)
    assert main(["ops"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("done\n", "warning: 31.0 % of the pixels are clipped\n")


@pytest.mark.parametrize("arguments", [("evaluate", "--page"), ("report", "-o")])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    monkeypatch.setattr("hlsgen.store.folder.load", lambda _: pytest.fail("the design was read"))
    verb, option = arguments
    for place, why in (
        (tmp_path, f"{tmp_path} must be a file, not a folder"),
        (tmp_path / "no/page.html", f"there is no folder {tmp_path / 'no'}"),
    ):
        code, out, err = run(verb, str(tmp_path / "x"), option, str(place))
        assert (code, out) == (2, "")
        assert why in err
        assert err.endswith("  more: hlsgen explain HG002\n")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("hlsgen comp", {"compile "}),
        ("hlsgen simulate x --le", {"--level "}),
        ("hlsgen simulate x --level ", {"program", "csim", "rtl", "soc"}),
    ],
)
def test_the_shell_completes(line: str, found: set[str], tmp_path: Path) -> None:
    """As bash calls it: what was typed in its environment, the answers on descriptor 8."""
    environ = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }  # fmt: skip
    place = tmp_path / "answers"
    command = f"exec {shlex.quote(sys.executable)} -m hlsgen 8>{shlex.quote(str(place))}"
    subprocess.run(["sh", "-c", command], env=environ, check=True, stdout=subprocess.DEVNULL)
    assert {
        text for text in place.read_text().split("\n") if not text.startswith("-") or found >= {text}
    } == found
