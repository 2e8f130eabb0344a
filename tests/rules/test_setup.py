# SPDX-License-Identifier: Apache-2.0
"""scripts/setup is not silent while programs and packages are installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SETUP = (Path(__file__).resolve().parents[2] / "scripts/setup").read_text()
FUNCTIONS = "".join(
    re.findall(r"^(?:say\(\) \{.*?\}\n|at_work\(\) \{\n.*?^\}\n)", SETUP, re.MULTILINE | re.DOTALL)
)


def _run(calls: str) -> tuple[int, str, str]:
    script = f"set -eu\n{FUNCTIONS.replace('sleep 4', 'sleep 0.2')}{calls}\n"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_long_command_says_that_it_is_at_work() -> None:
    code, out, err = _run("at_work 'pip install' sleep 0.9; echo done")
    assert (code, out) == (0, "done\n")
    assert err.startswith("setup: pip install: 4 s\nsetup: pip install: 8 s\n")


def test_a_command_that_fails_ends_the_setup() -> None:
    assert _run("at_work x sh -c 'exit 3'; echo not reached") == (3, "", "")


def test_everything_that_is_slow_is_watched() -> None:
    body = SETUP[SETUP.index("install_programs()") :]
    slow = re.findall(r"^ *(?:at_work \".*?\" )?(?:apt-get|pip) .*|^.*-m venv .*", body, re.MULTILINE)
    lines = [line.strip() for line in slow if not line.strip().startswith(("say", "pip()"))]
    assert len(lines) == 5
    assert [line for line in lines if not line.startswith("at_work")] == []
