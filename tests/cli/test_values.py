# SPDX-License-Identifier: Apache-2.0
"""Odd arguments: every option refuses what it can't be, before anything slow, with 2 and one clear text."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from hlsgen.cli import main
from hlsgen.cli.answer import for_terminal
from hlsgen.errors import UsageError
from hlsgen.fit.options import parse_array
from hlsgen.lower.size import ArrayShape

NINES = "9" * 5000
TOO_LONG = "must be a path of at most 4095 bytes, each name of at most 255, not"
CONTROL = "must be a path without control characters, not"
NATURAL, POSITIVE = "must be 0 or a positive integer, not", "must be a positive integer, not"
COMPILE = ("compile", "digits", "-o", "never_made")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (*COMPILE, "--array", "0x3x0"),
            (
                "3 problems\n1. rows must be in 1..64, not 0\n"
                "2. columns must be a power of two in 1..64, not 3\n"
                "3. depth must be a power of two in 1..64, not 0"
            ),
        ),
        ((*COMPILE, "--array", "65x1x1"), "rows must be in 1..64, not 65"),
        (
            (*COMPILE, "--array", f"{NINES}x1x1"),
            f"array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '{'9' * 76}...",
        ),
        (
            (*COMPILE, "--array", "4x4x8\n"),
            "array must be ROWSxCOLUMNSxDEPTH, for example 4x4x8, not '4x4x8\\n'",
        ),
        ((*COMPILE, "--row-width", "0"), f"argument --row-width: {POSITIVE} '0'"),
        ((*COMPILE, "--row-width", NINES), f"argument --row-width: {POSITIVE} '{'9' * 76}..."),
        ((*COMPILE, "--ring", "0"), f"argument --ring: {POSITIVE} '0'"),
        ((*COMPILE, "--ring", "nan"), f"argument --ring: {POSITIVE} 'nan'"),
        ((*COMPILE, "--span", "-1"), f"argument --span: {NATURAL} '-1'"),
        ((*COMPILE, "--span", "\u0663"), f"argument --span: {NATURAL} '\u0663'"),
        (
            (*COMPILE, "--shape", "0x8x8"),
            "argument --shape: shape must be CxHxW, for example 3x224x224, not '0x8x8'",
        ),
        (
            (*COMPILE, "--shape", "99999x99999x99999"),
            "argument --shape: shape must be of at most 67108864 elements, not 99999x99999x99999",
        ),
        ((*COMPILE, "--board", "a\0b.toml"), f"argument --board: {CONTROL} 'a\\x00b.toml'"),
        ((*COMPILE, "--calibration", "a" * 300), f"argument --calibration: {TOO_LONG} '{'a' * 76}..."),
        ((*COMPILE, "--samples", ""), "argument --samples: must be a path, not an empty text"),
        (("compile", "a/" * 3000, "-o", "x"), f"argument MODEL: {TOO_LONG} '{'a/' * 38}..."),
        (("compile", "digits", "-o", "a\nb"), f"argument -o/--output: {CONTROL} 'a\\nb'"),
        (
            ("inspect", "digits", "--outputs", "a,,b"),
            (
                "argument --outputs: must be names of outputs, for example last_hidden_state,pooler_output, "
                "not 'a,,b'"
            ),
        ),
        (("inspect", "a\x1b[31m"), f"argument MODEL: {CONTROL} 'a\\x1b[31m'"),
        (("simulate", "\0"), f"argument DIR: {CONTROL} '\\x00'"),
        (("simulate", "x", "--task", "-1"), f"argument --task: {NATURAL} '-1'"),
        (("export", "x", "--clock", "nan"), "argument --clock: must be a positive number of MHz, not 'nan'"),
        (("export", "x", "--clock", "1e3"), "argument --clock: must be a positive number of MHz, not '1e3'"),
        (("bitstream", "x", "--seeds", "1", "-2"), f"argument --seeds: {NATURAL} '-2'"),
        (("report", "x", "-o", ""), "argument -o/--output: must be a path, not an empty text"),
    ],
)
def test_odd_arguments(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    said, _, code = err.partition("\n  more: hlsgen explain ")
    assert code in ("HG001\n", "HG041\n")
    first, _, rest = said.partition("\n  fix: hlsgen ")
    assert first.rstrip("\n") == f"hlsgen: error: {message}"
    assert rest in ("", f"{arguments[0]} --help shows what it takes")


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ({"rows": 0}, ["rows must be in 1..64, not 0"]),
        (
            {"columns": 5, "row_width": 0},
            ["columns must be a power of two in 1..64, not 5", "row_width must be a power of two, not 0"],
        ),
        (
            {"span": -1, "ring_bytes": 0},
            ["ring_bytes must be positive, not 0", "span must be 0 or more, not -1"],
        ),
    ],
)
def test_in_python_too(fields: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        ArrayShape(**{"rows": 4, "columns": 4, "depth": 8, **fields})
    assert [problem.what for problem in caught.value.problems] == messages
    with pytest.raises(UsageError, match="array must be ROWSxCOLUMNSxDEPTH"):
        parse_array("\u0664x4x8")


def test_a_terminal_gets_nothing_that_it_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    assert for_terminal("a\x1b[31m\x07\u202eb\nc\t\udc80") == "a\\x1b[31m\\x07\\u202eb\nc\t\\udc80"
    assert for_terminal("\u00e9\u2713", "ascii") == "\\xe9\\u2713"
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)

    def answer(_: object) -> Any:
        from hlsgen.cli.answer import Answer

        return Answer({}, "written to \u00e9\udc80")

    monkeypatch.setattr("hlsgen.cli.ops.run", answer)
    assert main(["ops"]) == 0
    stream.flush()
    buffer: Any = stream.buffer
    assert buffer.getvalue() == b"written to \\xe9\\udc80\n"
