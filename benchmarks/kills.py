# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.kills --count N --seed S`: compilations killed at random moments, then made again.

A build folder of digits is compiled again for another array, again and again, and each time killed by
SIGKILL, SIGTERM, SIGINT or SIGHUP. Then every digest of the old build or of the new one must be right, no
process may be left, and a compilation that is not killed must end with exactly the new files. The moment is
anywhere in the time that a compilation takes, or within what it spends on the folder, where it matters.

Without `--whole` only what follows the front end is done, in a forked process, so that it takes less than
a second: make all files of a design, write them. `--whole` runs `hlsgen compile` itself, and looks for
processes that it left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hlsgen.design import Design
from hlsgen.emit.contents import save
from hlsgen.errors import UsageError
from hlsgen.host.processes import Ended, signals_end
from hlsgen.pipeline import compile as compile_graph
from hlsgen.progress.steps import Listener, Step, listening
from hlsgen.store.files import sha256
from hlsgen.store.paths import MANIFEST
from hlsgen.store.replace import COMMIT, NEW

SIGNALS = tuple(name for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
ARRAYS = ("4x4x8", "2x4x8")
MARK = "HLSGEN_KILLS"
MINE = "mine/notes.txt"
"""A file of the user's."""
SAMPLES = 16
"""Images that the builds keep, so that making one doesn't take long."""


@dataclass
class Compilation:
    """A process that compiles, and the pipe on which it names its phases."""

    pid: int
    pipe: int
    code: int | None = None

    @classmethod
    def start(cls, body: Callable[[int], int]) -> Compilation:
        """Fork; the child ends with the exit code that `body` returns when it gets the pipe's other end."""
        mine, other = os.pipe()
        pid = os.fork()
        if pid:
            os.close(other)
            os.set_blocking(mine, False)
            return cls(pid, mine)
        code = 1
        for name in SIGNALS[1:]:  # nohup may have told the campaign to ignore one
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            code = body(other)
        except KeyboardInterrupt:
            code = 130
        except BaseException as error:  # noqa: BLE001 the campaign shows it
            os.write(other, f"{error!r}\n".encode())
        finally:
            os._exit(code)

    def running(self) -> bool:
        """Whether it has not ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is None

    def phases(self) -> list[str]:
        """What it wrote since the last call."""
        try:
            return os.read(self.pipe, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []

    def wait(self) -> int:
        """The exit code, once it has ended."""
        while self.running():
            time.sleep(0.002)
        os.close(self.pipe)
        assert self.code is not None
        return self.code


@dataclass
class Tally:
    """The results of the kills."""

    states: Counter[str] = field(default_factory=Counter)
    """Count by signal and result: the old build, the new one, or a compilation that had ended before."""
    phases: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    """Folders in which a replacement had been begun or decided, and not finished."""
    faults: list[str] = field(default_factory=list)


class Campaign:
    """One folder that is compiled for two arrays in turn."""

    def __init__(self, place: Path, *, whole: bool, seed: int) -> None:
        self._place, self._whole, self._random = place, whole, random.Random(seed)
        self._designs: list[Design] = []
        self._files: list[dict[str, bytes]] = []
        self._before = self._writes = 0.0  # seconds of one that is not killed, before it writes and from then
        self.tally = Tally()

    def prepare(self) -> None:
        """Compile both builds that the folder is to hold in turn, and the first one into it."""
        for array in ARRAYS[: 2 if self._whole else 1]:
            command = [sys.executable, "-m", "hlsgen", "compile", "digits", "--array", array]
            subprocess.run([*command, "-o", str(self._place / array)], check=True, capture_output=True)
        if not self._whole:
            first = Design.load(self._place / ARRAYS[0])
            first = replace(first, samples=first.samples.first(SAMPLES))
            second = compile_graph(first.graph, array=ARRAYS[1], samples=first.samples, notes=first.notes)
            for array, design in zip(ARRAYS, (first, second), strict=True):
                self._designs.append(replace(design, directory=None).save(self._place / array))
        self._files = [_held(self._place / array) for array in ARRAYS]
        shutil.copytree(self._place / ARRAYS[0], self.folder)
        (self.folder / MINE).parent.mkdir()
        (self.folder / MINE).write_text("mine")
        first, start = self._compile(1), time.monotonic()
        _wait(first, 0.0, late=True)
        self._before = time.monotonic() - start
        first.wait()
        self._writes = time.monotonic() - start - self._before
        self._check((1,), "first")

    @property
    def folder(self) -> Path:
        """The folder that is written again and again."""
        return self._place / "build"

    def kill(self, number: int) -> None:
        """Compile build `number` % 2 over the other one, killed, and check; then to the end, and check."""
        new, name = number % 2, self._random.choice(SIGNALS)
        late, share = self._random.random() < 0.6, self._random.random()
        mark = uuid.uuid4().hex
        process = self._compile(new, mark)
        phase = _wait(process, share * (self._writes if late else self._before), late=late)
        if process.running():
            os.kill(process.pid, getattr(signal, name))
        code = process.wait()
        case = f"{number}: {name} in phase {phase}"
        self.tally.phases[phase] += 1
        expected = {-9, 0} if name == "SIGKILL" else {0, 128 + getattr(signal, name)}
        # Before and after hlsgen itself runs, Python's own answers to the signals.
        expected |= {-getattr(signal, name), 1, 130} if phase in ("start", "end") else set()
        if code not in expected:
            self.tally.faults.append(f"{case}: exit code {code}")
        self.tally.interrupted += any((self.folder / part).exists() for part in (NEW, COMMIT))
        if self._whole and name != "SIGKILL" and (left := _left(mark)):
            self.tally.faults.append(f"{case}: left running: {left}")
        found = self._check((1 - new, new), case)
        self.tally.states[f"{name} {'ended before' if code == 0 else ('old', 'new')[found == new]}"] += 1
        if self._compile(new).wait():
            self.tally.faults.append(f"{case}: the next compilation failed")
        self._check((new,), f"{case}, then again")

    def _check(self, allowed: Sequence[int], case: str) -> int:
        """Which build the folder holds; everything that is wrong with it becomes a fault."""
        try:
            Design.load(self.folder)
        except UsageError as error:
            self.tally.faults.append(f"{case}: {error}")
            return -1
        held = _held(self.folder)
        digests = json.loads(held[MANIFEST])["files"]
        wrong = [path for path, digest in digests.items() if sha256(held.get(path, b"")) != digest]
        if wrong:
            self.tally.faults.append(f"{case}: digests of {wrong}")
        found = next((build for build in allowed if held[MANIFEST] == self._files[build][MANIFEST]), -1)
        if found < 0:
            self.tally.faults.append(f"{case}: another build than {[ARRAYS[i] for i in allowed]}")
        rest = {path for path in held if path not in (MINE, MANIFEST) and path not in digests}
        unfinished = {path for path in rest if path.startswith((f"{NEW}/", f"{COMMIT}/"))}
        if rest - unfinished or (unfinished and len(allowed) == 1) or held.get(MINE) != b"mine":
            self.tally.faults.append(f"{case}: other files {sorted(rest)[:5]}")
        return found

    def _compile(self, build: int, mark: str = "") -> Compilation:
        def whole(pipe: int) -> int:
            os.dup2(pipe, 2)
            command = ["compile", "digits", "--array", ARRAYS[build], "-o", str(self.folder)]
            os.execve(sys.executable, [sys.executable, "-m", "hlsgen", *command], {**os.environ, MARK: mark})

        def files_only(pipe: int) -> int:
            try:
                with signals_end(last=True), listening(_Teller(pipe)):
                    save(self._designs[build], self.folder)
            except Ended as ended:
                return ended.exit_code
            return 0

        return Compilation.start(whole if self._whole else files_only)


class _Teller(Listener):
    """Writes the names of steps into a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def begin(self, step: Step) -> None:
        os.write(self._pipe, f"{step.name}\n".encode())


def _wait(process: Compilation, seconds: float, *, late: bool) -> str:
    """Let a compilation run for some time, counted from its start or from when it writes; the phase then."""
    end, phase = time.monotonic() + seconds, "start"
    while process.running() and (late or time.monotonic() < end):
        for line in process.phases():
            phase = re.sub(r"^hlsgen: \d+/\d+ ", "", line)
        if late and phase == "write":
            time.sleep(seconds)
            break
        time.sleep(0.0005)
    return phase if process.running() else "end"


def _left(mark: str) -> list[str]:
    """Command lines of processes that carry the mark; only where there is /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended
            continue
    return [line for line in found if line]


def _held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(count: int, seed: int, *, whole: bool = False) -> Tally:
    """Kill so many compilations, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        campaign = Campaign(Path(name), whole=whole, seed=seed)
        campaign.prepare()
        for number in range(count):
            campaign.kill(number)
            if number % 10 == 9:
                faults = len(campaign.tally.faults)
                print(f"{number + 1} kills, {faults} faults", file=sys.stderr, flush=True)
    return campaign.tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kills and print what came of them; exit code 1 when anything was lost."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: those of OpenBLAS sleep
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--whole", action="store_true", help="kill `hlsgen compile` itself, front end and all"
    )
    options = parser.parse_args(arguments)
    tally = run(options.count, options.seed, whole=options.whole)
    print(f"{options.count} kills, seed {options.seed}: {len(tally.faults)} faults")
    print("found: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.states.items())))
    print("in phase: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.phases.items())))
    print(f"replacements left unfinished, and finished or dropped by the next run: {tally.interrupted}")
    print(*tally.faults, sep="\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
