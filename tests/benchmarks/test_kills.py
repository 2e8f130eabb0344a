# SPDX-License-Identifier: Apache-2.0
"""A few kills of the campaign. `tests/store/test_replace.py` has one at every change of a file, simulated."""

from __future__ import annotations

import subprocess
import sys


def test_killed_compilations_lose_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.kills", "--count", "8", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("8 kills, seed 7: 0 faults\nfound: "), done.stdout + done.stderr
    assert done.returncode == 0
