# SPDX-License-Identifier: Apache-2.0
"""`doctor`: versions, limits, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hlsgen.cli import findings as doctor
from hlsgen.cli import main


@pytest.mark.parametrize(
    ("version", "wanted", "ok"),
    [
        ("2.13.0+cpu", ">=2.13.0,<2.14", True),
        ("2.14.0", ">=2.13.0,<2.14", False),
        ("2.12.9", ">=2.13.0,<2.14", False),
        ("2.1", ">=2.1.0", True),
        ("3.11.7", "==3.11.7", True),
        ("3.11", "==3.11.7", False),
        ("0.50.0.0.post130", ">=0.40", True),
        ("found", ">=1", True),
        ("1", "", True),
    ],
)
def test_version_limits(version: str, wanted: str, ok: bool) -> None:
    assert doctor.satisfies(version, wanted) is ok


def test_the_limits_are_those_of_pyproject() -> None:
    findings = {finding.name: finding for finding in doctor.examine()}
    assert findings["torch"].wanted.split(",") in (["<2.14", ">=2.13.0"], [">=2.13.0", "<2.14"])
    assert findings["cocotb"].wanted
    assert all(finding.ok for finding in findings.values() if finding.needed)


def test_a_command_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "thing"
    tool.write_text("#!/bin/sh\necho 'Thing release 4.5.6 (x)' >&2\nexit 3\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor.command_version("thing", "--version") == "4.5.6"
    assert doctor.command_version("thing", None) == "found"
    assert doctor.command_version("no-such-thing", "--version") is None


def test_what_is_missing_is_told_and_exits_with_6(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = (
        doctor.Finding(name="g++", purpose="compiles", version="12.2.0", fix="apt-get install g++"),
        doctor.Finding(name="iverilog", purpose="simulates", version=None, fix="apt-get install iverilog"),
        doctor.Finding(
            name="torch", purpose="reads", version="2.9", wanted=">=2.13", fix="pip install torch"
        ),
        doctor.Finding(name="vivado", purpose="builds", version=None, needed=False, fix="AMD's installer"),
    )
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert main(["doctor"]) == 6
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "ok      g++      12.2.0                 compiles",
        "missing iverilog -                      simulates",
        "                 apt-get install iverilog",
        "wrong   torch    2.9                    reads",
        "                 needs >=2.13: pip install torch",
        "absent  vivado   -                      builds",
        "                 AMD's installer",
        "2 needed parts are missing or wrong",
    ]
    assert main(["doctor", "--json"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert [item["ok"] for item in document["findings"]] == [True, False, False, False]
