# SPDX-License-Identifier: Apache-2.0
"""Projects by Yosys and nextpnr: the first placement that meets timing wins."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hlsgen.bitstream.nextpnr.placements import Placement, cores, place
from hlsgen.bitstream.nextpnr.verify import Board, digest, require_verifiable, verify
from hlsgen.bitstream.result import Attempt, Bitstream, Wanted
from hlsgen.bitstream.tools import find_tools, make
from hlsgen.errors import Mismatch, ToolFailed, UsageError
from hlsgen.errors.codes import Code
from hlsgen.progress.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = "synthesis.ys"
SEEDS = (1, 2, 3)
LIMIT_SECONDS = 1800


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A family's part in it.

    kind: of project, in messages. tools: the Makefile's variables and the tools that may stand behind them;
    fix: how to install them. resources: nextpnr's cells to what the result calls them. bitstream: its file's
    ending. board: how its netlist is simulated. limit: seconds of a tool. notes: what the result says beside
    clocks and resources, from the files of a built project.
    """

    kind: str
    tools: Mapping[str, Sequence[str]]
    fix: str
    resources: Mapping[str, str]
    bitstream: str
    board: Board
    limit: float = LIMIT_SECONDS
    notes: Callable[[Path], tuple[str, ...]] = lambda _: ()


def build_project(
    flow: Flow,
    folder: str | Path,
    *,
    seeds: Iterable[int] = SEEDS,
    jobs: int | None = None,
    limit: float | None = None,
    verification: Wanted | None = None,
) -> Bitstream:
    """Build an exported project; the first of `seeds` that meets timing, set-up and hold, wins.

    As many placements as `jobs`, by default one for each processor, run at a time, and as many simulators of
    the netlist; the result is the same for any number. A placement that can't be routed within `limit`
    seconds counts as one that misses timing.
    Raises `UsageError`, `ToolMissing`, `ToolFailed` when a tool fails or no seed meets timing, or `Mismatch`
    when the verification that is wanted finds a difference; it comes before the netlist is placed.
    """
    folder, seeds, jobs = Path(folder), tuple(dict.fromkeys(seeds)), cores() if jobs is None else jobs
    limit = flow.limit if limit is None else limit
    if not (folder / SCRIPT).is_file():
        raise UsageError(
            f"{folder} must be an exported {flow.kind} project: it has no {SCRIPT}", code=Code.PROJECT
        )
    if not seeds or jobs < 1:
        raise UsageError(f"there must be at least one seed and one job, not {len(seeds)} and {jobs}")
    variables = find_tools(flow.tools, flow.fix)
    if verification:
        require_verifiable(folder, verification)
    started = time.monotonic()
    with step("synthesis") as told:
        told.watched = folder / "build/yosys.log"
        make(folder, ["synthesis", *variables], limit)
    verified = verify(folder, verification, flow.board, jobs=jobs) if verification else None
    with step("place and route"):
        placements = place(folder, seeds, variables, limit=limit, jobs=jobs)
    if failure := placements[-1].failure:
        routed = any(placement.attempt.clocks for placement in placements)
        raise _timing_missed(folder, [placement.attempt for placement in placements]) if routed else failure
    with step("pack"):
        built = _pack(flow, folder, placements, variables, started, limit)
    if verified and digest(Path(verified.netlist)) != verified.sha256:
        raise Mismatch(
            f"{verified.netlist} must stay as it was verified: it has changed since", code=Code.NETLIST
        )
    return dataclasses.replace(built, verified=verified)


def _timing_missed(folder: Path, attempts: Sequence[Attempt]) -> ToolFailed:
    command = ["make", "-C", str(folder), "bitstream"]
    fix = "export with a lower core clock or a smaller array, or try other seeds"
    lines = "\n".join(map(_missed, attempts))
    worst = [clock for attempt in attempts if (clock := attempt.worst)]
    best = max(worst, key=lambda clock: clock.achieved_mhz / clock.constraint_mhz)
    if best.met:
        least = min(attempt.hold_violations for attempt in attempts if attempt.clocks)
        what = f"timing must have no hold violation, not {least} (the best of {len(attempts)} placements)"
        return ToolFailed(what, command, lines, fix="try other seeds", code=Code.TIMING)
    what = f"timing must reach {best.constraint_mhz:g} MHz, not {best.achieved_mhz:.1f} MHz "
    return ToolFailed(
        what + f"(the best of {len(attempts)} placements)", command, lines, fix=fix, code=Code.TIMING
    )


def _missed(attempt: Attempt) -> str:
    """What a placement reached."""
    clock = attempt.worst
    if clock is None:
        return f"seed {attempt.seed}: not routed in time"
    hold = f", {attempt.hold_violations} hold violations" if attempt.hold_violations else ""
    reached = f"{clock.name} {clock.achieved_mhz:.1f} MHz of {clock.constraint_mhz:g} MHz"
    return f"seed {attempt.seed}: {reached}{hold}"


def _pack(
    flow: Flow,
    folder: Path,
    placements: Sequence[Placement],
    variables: Sequence[str],
    started: float,
    limit: float,
) -> Bitstream:
    """The last placement's files, where `make` alone would have put them, and the bitstream of them."""
    winner = placements[-1]
    for path in winner.folder.iterdir():
        path.replace(folder / "build" / path.name)
    for other in (folder / "build").glob("seed_*"):
        shutil.rmtree(other)
    make(folder, ["bitstream", f"SEED={winner.attempt.seed}", *variables], limit)
    (path,) = (folder / "build").glob(f"*{flow.bitstream}")
    return Bitstream(
        path=path,
        seed=winner.attempt.seed,
        clocks=winner.attempt.clocks,
        used=read_utilization(folder / "build/report.json", flow.resources),
        attempts=tuple(placement.attempt for placement in placements),
        seconds=time.monotonic() - started,
        notes=flow.notes(folder),
    )


def read_utilization(report: Path, resources: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Resource to (used, available), from nextpnr's report."""
    table = json.loads(report.read_text())["utilization"]
    return {
        label: (int(table[cell]["used"]), int(table[cell]["available"]))
        for cell, label in resources.items()
        if cell in table
    }
