# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.silence COMMAND...`: when a command says something first, its longest silence.

Both outputs count, as they are read from pipes. `--most-first S` and `--most-silence S` fail beyond S s.
"""

from __future__ import annotations

import argparse
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast


@dataclass(frozen=True)
class Silence:
    """Seconds to the first output, of the longest silence (and the line behind it), of all; the exit code."""

    first: float
    longest: float
    before: str
    total: float
    code: int


def measure(command: Sequence[str], *, echo: bool = False) -> Silence:
    """Run a command and look at the moments of its output."""
    begun = last = time.monotonic()
    first, longest, before = 0.0, 0.0, ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        selector = selectors.DefaultSelector()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(cast(BinaryIO, key.fileobj).fileno(), 1 << 16)
                now = time.monotonic()
                first = first or now - begun
                if now - last > longest:
                    longest = now - last
                    before = data.decode(errors="replace").strip().partition("\n")[0] or "the end"
                last = now
                if not data:
                    selector.unregister(key.fileobj)
                elif echo:
                    sys.stderr.write(data.decode(errors="replace"))
    return Silence(first, longest, before, time.monotonic() - begun, process.returncode)


def main() -> int:
    """Print the figures of a command; 1 where they are beyond what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most-first", type=float, metavar="S", default=float("inf"))
    parser.add_argument("--most-silence", type=float, metavar="S", default=float("inf"))
    parser.add_argument("--echo", action="store_true", help="pass the output on to stderr")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("give a command to run")
    found = measure(options.command, echo=options.echo)
    print(
        f"first output after {found.first:.1f} s, longest silence {found.longest:.1f} s "
        f"(before: {found.before[:60]}), {found.total:.0f} s in all, exit code {found.code}"
    )
    return int(found.first > options.most_first or found.longest > options.most_silence)


if __name__ == "__main__":
    sys.exit(main())
