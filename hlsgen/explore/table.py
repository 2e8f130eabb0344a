# SPDX-License-Identifier: Apache-2.0
"""An exploration as text: the front as a table, the best points with their reasons."""

from __future__ import annotations

from collections.abc import Sequence

from hlsgen.explore.exploration import Exploration
from hlsgen.explore.front import NEARLY
from hlsgen.explore.result import Result

ROWS, EXPLAINED = 20, 3
"""Rows of the table, and best points with their reasons; the rest is in the folder's `front.json`."""
_TITLES = (
    "array",
    "width",
    "ring KiB",
    "attention",
    "logits",
    "ms",
    "images/s",
    "DSP",
    "RAM",
    "MB/image",
    "dB",
    "bound by",
)


def table(done: Exploration) -> str:
    """All of it."""
    fitting = sum(result.fits for result in done.found.values())
    lines = [f"{done.name}: {len(done.found)} points, {fitting} fit, {len(done.front)} on the front"]
    lines += _front(done)
    if not done.best:
        return "\n".join([*lines, "no point meets what is asked for; nearest:", *done.closest()])
    rule = (
        "the least of the board that meets the time"
        if done.constraints.timed
        else (f"the least of the board within {NEARLY:.0%} of the fastest")
    )
    lines += ["", f"best ({rule}):"]
    for number, result in enumerate(done.best[:EXPLAINED], 1):
        lines += [f"{number}. {result.point}", f"   {done.bound(result)}"]
        if number == 1:
            lines += [f"   {each}" for each in done.neighbours(result)]
    lines += confirmations(done)
    return "\n".join(lines)


def confirmations(done: Exploration) -> list[str]:
    """A line for each point that ran in RTL."""
    if not done.confirmed:
        return []
    return ["", "in RTL, every tensor equal to golden:"] + [
        f"  {each.point}: {each.cycles} cycles, predicted {each.predicted} ({each.error:+.2%})"
        + ("" if each.searched == each.predicted else f", in the search {each.searched}")
        for each in done.confirmed
    ]


def _front(done: Exploration) -> list[str]:
    lines = []
    for board in done.space.arrays:
        mine = [each for each in done.front if each.point.board == board and done.constraints.met(each)]
        shown = _spread(mine, ROWS)
        of = "" if len(shown) == len(mine) else f", {len(shown)} of {len(mine)}"
        lines += ["", f"front on {board}{of}:", *_aligned([_TITLES, *map(_row, shown)])]
    return lines


def _spread(results: Sequence[Result], count: int) -> list[Result]:
    """So many of them, the first and the last included, evenly."""
    if len(results) <= count:
        return list(results)
    return [results[index * (len(results) - 1) // (count - 1)] for index in range(count)]


def _row(result: Result) -> tuple[str, ...]:
    point, known = result.point, result.known
    return (
        point.array_text,
        str(point.row_width),
        str(point.ring_bytes >> 10),
        point.attention + (f" {point.span}" if point.span else ""),
        str(point.logit_width),
        f"{known.latency_ms:.4g}",
        f"{known.frames_per_second:.4g}",
        str(result.dsp),
        str(result.ram_blocks),
        f"{known.bytes_per_image / 1e6:.3g}" if known.bytes_per_image else "on chip",
        "-" if result.noise_db is None else f"{result.noise_db:.1f}",
        known.bound,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
