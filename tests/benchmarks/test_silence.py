# SPDX-License-Identifier: Apache-2.0
"""The moments of a command's output, as `python -m benchmarks.silence` measures them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.silence import main, measure

SCRIPT = """
import sys, time
print("first", flush=True)
time.sleep(1.5)
print("second", file=sys.stderr, flush=True)
sys.exit(3)
"""


def test_the_longest_silence_and_the_line_behind_it() -> None:
    found = measure([sys.executable, "-c", SCRIPT])
    assert found.code == 3
    assert found.before == "second"
    assert found.first > 0
    assert 1.4 <= found.longest <= found.total


@pytest.mark.parametrize(("limit", "code"), [("600", 0), ("1", 1)])
def test_a_limit_is_held(limit: str, code: int) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.silence",
        "--most-silence",
        limit,
        sys.executable,
        "-c",
        SCRIPT,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("first output after ")
    assert "(before: second)" in done.stdout


def test_a_command_must_be_given(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["silence"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "give a command to run" in capsys.readouterr().err
