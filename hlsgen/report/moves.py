# SPDX-License-Identifier: Apache-2.0
"""What the commands cost that compute nothing of the model: copies, casts, transposes, by name."""

from __future__ import annotations

from typing import Any

from hlsgen.machine.format.program import Program
from hlsgen.machine.time.cycles import Prediction

MOST_LINES = 8
"""Moves that the text names, those of most cycles; the page and the data have all."""


def move_rows(program: Program, prediction: Prediction) -> list[dict[str, Any]]:
    """Name, kind, what is moved, for which results, and cycles of each move that ran, in program order.

    A command's cycles run from the end of the command before it to its own end, as those of phases do.
    """
    ends: dict[int, float] = {}
    for job in prediction.jobs:
        ends[job.command] = max(ends.get(job.command, 0), job.drain_end)
    ran = sorted(ends)
    begins = dict(zip(ran, [0, *(ends[index] for index in ran)], strict=False))
    return [
        {
            "name": move.tensor,
            "kind": move.kind,
            "moved": move.moved,
            "reader": move.reader.split(","),
            "cycles": round(ends[move.command] - begins[move.command]),
        }
        for move in program.moves
        if move.command in ends
    ]


def move_lines(program: Program, prediction: Prediction) -> list[str]:
    """All moves together, and those that cost most."""
    rows = move_rows(program, prediction)
    if not rows:
        return []
    total = sum(row["cycles"] for row in rows)
    share = total / prediction.cycles
    lines = [f"moves      {len(rows)} commands that only move data, {total} cycles, {100 * share:.1f} %"]
    dearest = sorted(rows, key=lambda row: -row["cycles"])[:MOST_LINES]
    lines += [f"           {_line(row)}" for row in dearest]
    return lines


def _line(row: dict[str, Any]) -> str:
    of = f" of {row['moved']}" if row["moved"] else ""
    return f"{row['name']}: {row['kind']}{of} for {', '.join(row['reader'])}, {row['cycles']} cycles"
