# SPDX-License-Identifier: Apache-2.0
"""The report's comparison of what the cycle model predicts with what the RTL counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hlsgen.machine.format.interface import CYCLES, REASONS, Register
from hlsgen.machine.time.phases import phase_of
from hlsgen.store.measured import Measured, load

if TYPE_CHECKING:
    from hlsgen.report.facts import Facts


def measured_figures(report: Facts, predicted: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first task, measured beside `predicted` phases; nothing where it was not simulated."""
    design = report.design
    found = load(design.directory, design.program.parameters.build_id)
    if found is None:
        return None
    cycles = phase_cycles(report, found)
    known = {Register.MULTIPLY: report.prediction.multiply}
    return {
        "simulator": found.simulator,
        "images": found.images,
        "cycles": [report.prediction.cycles, found.counters[CYCLES.title]],
        "reasons": [
            {
                "name": reason.label,
                "predicted": known.get(reason.register),
                "measured": found.counters[reason.title],
            }
            for reason in REASONS
        ],
        "phases": [
            {"name": row["name"], "predicted": row["cycles"], "measured": cycles.get(row["name"], 0)}
            for row in predicted
        ],
    }


def phase_cycles(report: Facts, found: Measured) -> dict[str, int]:
    """Cycles by phase: a command's run from the end of the one before it to its own."""
    result: dict[str, int] = {}
    begin, before = 0, None
    for index, command in enumerate(report.design.program.commands):
        if index not in found.ends:
            continue  # another task's, or an expert's without tokens
        phase = phase_of(command, before)
        result[phase] = result.get(phase, 0) + found.ends[index] - begin
        begin, before = found.ends[index], command
    return result
