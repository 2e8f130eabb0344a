# SPDX-License-Identifier: Apache-2.0
"""Placements of a project, several at a time; the earliest seed that meets timing wins."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hlsgen.bitstream.result import Attempt, Clock
from hlsgen.bitstream.tools import make
from hlsgen.errors import ToolFailed, ToolTimedOut
from hlsgen.host.processes import Stopped
from hlsgen.progress.steps import step


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One seed's placement: its clocks, the folder of its files, and its failure if there was one."""

    attempt: Attempt
    folder: Path
    failure: ToolFailed | None = None


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def place(
    folder: Path, seeds: Sequence[int], variables: Sequence[str], *, limit: float, jobs: int
) -> list[Placement]:
    """Place and route a synthesised project until a placement meets timing: that is then the last one.

    As many as `jobs` run at a time. They are taken in the order of `seeds` all the same: `jobs` decides how
    long it takes, not what comes out. Those after the winner are ended. A failure that isn't missed timing is
    raised.
    """
    placements: list[Placement] = []
    stops = [threading.Event() for _ in seeds]

    def run(index: int) -> Placement:
        if stops[index].is_set():
            raise Stopped
        placement = _route(folder, seeds[index], variables, limit, stops[index])
        if placement.failure is None:
            # Here, not in the loop below: this thread would begin with the next seed before the loop sees it.
            for later in stops[index + 1 :]:
                later.set()
        return placement

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running = [pool.submit(run, index) for index in range(len(seeds))]
        try:
            for future in running:
                placements.append(future.result())
                if placements[-1].failure is None:
                    break
        finally:
            for stop in stops:
                stop.set()
            pool.shutdown(cancel_futures=True)
    return placements


def _route(
    folder: Path, seed: int, variables: Sequence[str], limit: float, stop: threading.Event
) -> Placement:
    """Place and route once, into a folder of its own."""
    started, inside = time.monotonic(), f"build/seed_{seed}"
    shutil.rmtree(folder / inside, ignore_errors=True)
    failure = None
    try:
        with step(f"seed {seed}") as told:
            told.watched = folder / inside / "nextpnr.log"
            make(folder, ["route", f"SEED={seed}", f"PLACEMENT={inside}", *variables], limit, stop)
    except ToolFailed as error:
        failure = error
    report, log = folder / inside / "report.json", folder / inside / "nextpnr.log"
    clocks = read_clocks(report) if report.is_file() else ()
    attempt = Attempt(
        seed=seed,
        clocks=clocks,
        seconds=time.monotonic() - started,
        hold_violations=read_hold_violations(log) if log.is_file() else 0,
    )
    missed = isinstance(failure, ToolTimedOut) or (clocks and not attempt.met)
    if failure is not None and not missed:
        raise failure
    return Placement(attempt=attempt, folder=folder / inside, failure=failure)


def read_clocks(report: Path) -> tuple[Clock, ...]:
    """The clocks of nextpnr's report."""
    return tuple(
        Clock(name=name, achieved_mhz=float(entry["achieved"]), constraint_mhz=float(entry["constraint"]))
        for name, entry in sorted(json.loads(report.read_text())["fmax"].items())
    )


def read_hold_violations(log: Path) -> int:
    """How many paths are too short, from nextpnr's log: its report does not tell."""
    found = re.findall(r"(\d+) Hold/min time violations", log.read_text(errors="replace"))
    return max(map(int, found), default=0)
