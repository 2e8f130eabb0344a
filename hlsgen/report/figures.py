# SPDX-License-Identifier: Apache-2.0
"""The figures of the report's page, as plain data for JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlsgen.machine.format.commands import Command
from hlsgen.machine.format.interface import DRAIN, SCORES
from hlsgen.machine.format.program import Program
from hlsgen.machine.time.bounds import Bound, least_cycles
from hlsgen.machine.time.phases import bytes_of, phase_of, steps_of
from hlsgen.machine.time.plan import make_plan
from hlsgen.quantization.findings import CENTRED_DB, NOISY_DB
from hlsgen.report.accuracy import accuracy_rows
from hlsgen.report.attention import attention_figures
from hlsgen.report.comparison import measured_figures
from hlsgen.report.moves import move_rows
from hlsgen.report.routing import expert_figures

if TYPE_CHECKING:
    from hlsgen.machine.time.cycles import JobTimes, Prediction
    from hlsgen.report.facts import Facts

MOST_JOBS = 12_000
"""Jobs that the page carries; of longer programs it shows commands only."""
BINS = 240
"""Columns of the memory traffic's histogram."""
_MEMORY = ("name", "count", "depth", "width", "blocks")


def figures(report: Facts) -> dict[str, Any]:
    """Everything on the page."""
    design, prediction = report.design, report.prediction
    program, board = design.program, report.fit.board
    ran = dict(make_plan(program, design.image, report.routing).commands)
    phases = phase_rows(program, prediction, ran)
    measured = measured_figures(report, phases)
    _show(phases, measured)
    return {
        "title": str(design.notes.get("model", "accelerator")),
        "headline": headline(report, measured),
        "lanes": program.parameters.lanes,
        "bus": program.parameters.bus_bytes,
        "clock_mhz": board.core_mhz,
        "cycles": prediction.cycles,
        "shown_cycles": measured["cycles"][1] if measured else prediction.cycles,
        "multiply": prediction.multiply,
        "macs": program.macs,
        "bytes": prediction.bytes_read,
        "commands": command_rows(program, prediction, ran),
        "jobs": job_rows(prediction),
        "phases": phases,
        "moves": move_rows(program, prediction),
        "least": round(least_cycles(tuple(ran.values()), program)),
        "experts": expert_figures(design),
        "traffic": traffic(program, prediction),
        "regions": [vars(region) for region in program.regions],
        "memories": [{name: getattr(m, name) for name in _MEMORY} for m in report.fit.memories],
        "sections": {
            name: len(getattr(design.image, name)) for name in ("program", "constants", "weights", "addends")
        },
        "resources": resources(report),
        "tensors": list(design.quantization.get("tensors", ())),
        "warnings": list(report.warnings),
        "placed": placed(design.directory),
        "measured": measured,
        "attention": attention_figures(design),
        "noisy_db": [NOISY_DB, CENTRED_DB],
    }


def _show(phases: list[dict[str, Any]], measured: Mapping[str, Any] | None) -> None:
    """Put into each phase the cycles that the page shows: measured ones where there are any."""
    counted = {row["name"]: row["measured"] for row in measured["phases"]} if measured else {}
    for phase in phases:
        phase["shown_cycles"] = counted.get(phase["name"], phase["cycles"])


def headline(report: Facts, measured: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """The figures on top: label and value. What was measured in RTL takes the place of what was predicted."""
    design, prediction = report.design, report.prediction
    p, clock = design.program.parameters, report.fit.board.core_mhz
    kind, cycles = ("measured", measured["cycles"][1]) if measured else ("predicted", prediction.cycles)
    rows = [
        ("array", f"{p.rows}x{p.columns}x{p.depth}"),
        ("board", f"{report.fit.board.name}, {clock:g} MHz"),
        (f"cycles per image, {kind}", f"{cycles:,}"),
        (f"latency, {kind}", _time(cycles / clock)),
        (f"frames per second, {kind}", f"{1e6 * clock / cycles:,.1f}"),
        (f"useful multipliers, {kind}", f"{design.program.macs / (cycles * p.lanes):.1%}"),
        ("external bytes per image, predicted", f"{prediction.bytes_read:,}"),
    ]
    if report.board_cycles is not None:
        on_board = f"{report.board_cycles:,}, {_time(report.board_cycles / clock)}"
        rows.append(("cycles with the Image in block RAM, predicted", on_board))
    return [{"label": label, "value": value} for label, value in (*rows, *accuracy_rows(report))]


def _time(microseconds: float) -> str:
    """A time in ms with three digits."""
    return f"{microseconds / 1000:#.3g} ms" if microseconds < 1e5 else f"{microseconds / 1000:,.0f} ms"


def command_names(program: Program) -> list[str]:
    """The tensor that each command writes."""
    names = [f"command {index}" for index in range(len(program.commands))]
    for view in program.views:
        if view.which == DRAIN and view.kind != SCORES:
            names[view.command] = view.tensor
    for move in program.moves:
        names[move.command] = move.tensor
    return names


def command_rows(
    program: Program, prediction: Prediction, ran: Mapping[int, Command]
) -> list[dict[str, Any]]:
    """Each command's name and phase, and when each stage worked on it; skipped commands are left out."""
    names, before, rows = command_names(program), None, []
    times: dict[int, list[JobTimes]] = {index: [] for index in ran}
    for job in prediction.jobs:
        times[job.command].append(job)
    for index, command in ran.items():
        mine = times[index]
        rows.append(
            {
                "name": names[index],
                "phase": phase_of(command, before),
                "load": [min(job.load_start for job in mine), max(job.load_end for job in mine)],
                "multiply": [min(job.multiply_start for job in mine), max(job.multiply_end for job in mine)],
                "drain": [min(job.multiply_end for job in mine), max(job.drain_end for job in mine)],
                "steps": steps_of(command),
                "bytes": bytes_of(command, program),
            }
        )
        before = command
    return rows


def job_rows(prediction: Prediction) -> list[list[int]]:
    """command, load start and end, multiply start and end, drain end; of each job."""
    if len(prediction.jobs) > MOST_JOBS:
        return []
    return [
        [job.command, job.load_start, job.load_end, job.multiply_start, job.multiply_end, job.drain_end]
        for job in prediction.jobs
    ]


def phase_rows(program: Program, prediction: Prediction, ran: Mapping[int, Command]) -> list[dict[str, Any]]:
    """Cycles, steps, bytes and bound by phase; a command's cycles run from the end of the one before."""
    found: dict[str, dict[str, Any]] = {}
    begin = 0
    for row in command_rows(program, prediction, ran):
        phase = found.setdefault(row["phase"], {"name": row["phase"], "cycles": 0, "steps": 0, "bytes": 0})
        phase["cycles"] += row["drain"][1] - begin
        phase["steps"] += row["steps"]
        phase["bytes"] += row["bytes"]
        begin = row["drain"][1]
    for phase in found.values():
        bound = Bound(phase["steps"], phase["bytes"], program.parameters.bus_bytes)
        phase |= {"bound": bound.kind, "least": round(bound.cycles)}
    return list(found.values())


def traffic(program: Program, prediction: Prediction) -> dict[str, list[int]]:
    """Bytes read by each channel, in `BINS` equal spans of the image's time."""
    bus, result = program.parameters.bus_bytes, {}
    for name, arrivals in prediction.arrivals.items():
        bins, before = [0] * BINS, 0
        for beats, time in arrivals:
            place = min(BINS - 1, int(time * BINS / max(1, prediction.cycles)))
            bins[place] += (beats - before) * bus
            before = beats
        result[name] = bins
    return result


def resources(report: Facts) -> list[dict[str, Any]]:
    """Estimated use of the board, against what it has."""
    have, ram = report.fit.board.resources, report.fit.board.family.ram
    return [
        {"name": "DSP blocks", "used": report.fit.dsp, "have": have.dsp},
        {"name": ram.name, "used": report.fit.ram_blocks, "have": have.ram_blocks},
    ]


def placed(directory: Path | None) -> list[dict[str, Any]]:
    """Clock and cells of every bitstream that nextpnr has built below the build folder."""
    found = []
    paths = directory.glob("boards/*/build/report.json") if directory else ()
    for path in sorted(paths):
        try:
            data: Mapping[str, Any] = json.loads(path.read_text())
            clocks = {name: round(clock["achieved"], 1) for name, clock in data["fmax"].items()}
            cells = {name: [use["used"], use["available"]] for name, use in data["utilization"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a half-written report of a run under way
        used = {name: use for name, use in sorted(cells.items()) if use[0]}
        found.append({"board": path.parts[-3], "clocks": clocks, "cells": used})
    return found
