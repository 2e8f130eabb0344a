# SPDX-License-Identifier: Apache-2.0
"""Why a point: what bounds its time, and what its neighbours would give and take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from hlsgen.explore.front import Constraints, objectives
from hlsgen.explore.point import Point
from hlsgen.explore.result import REMEDIES, Result
from hlsgen.explore.space import Space

WORDS = {
    "array": "the array computes",
    "drain": "waits for DRAIN",
    "memory": "waits for weights, constants or addends",
    "load": "waits for rows from LOAD",
    "operands": "waits for keys and values",
    "ends": "begins and ends the image",
}
"""What MULTIPLY does in the cycles of each field of `Waits`."""
SHOWN = 0.005
"""Parts of the time below this share are left out of the text."""


@dataclass(frozen=True)
class Neighbour:
    """A point next to another one: how it differs, how it compares, and why it is not the better choice."""

    change: str
    compared: str
    verdict: str

    def __str__(self) -> str:
        return f"{self.change}: {self.compared}{'; ' if self.compared else ''}{self.verdict}"


def bound_text(result: Result) -> str:
    """What bounds a point's time, with shares, and what would help."""
    known = result.known
    waits = dataclasses.asdict(known.waits)
    shares = {name: cycles / known.cycles for name, cycles in waits.items()}
    told = [
        f"{WORDS[name]} {share:.1%}"
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
        if share >= SHOWN
    ]
    return (
        f"bound by {known.bound}: MULTIPLY {', '.join(told)} of the time; what helps: {REMEDIES[known.bound]}"
    )


def neighbours(
    result: Result, found: Mapping[Point, Result], space: Space, constraints: Constraints
) -> list[Neighbour]:
    """Every neighbour that was looked at."""
    return [
        Neighbour(_change(result.point, point), *_verdict(result, found[point], constraints))
        for point in space.neighbours(result.point)
        if point in found
    ]


def _change(point: Point, other: Point) -> str:
    """What differs, in words."""
    texts = {
        "array": f"array {other.array_text}",
        "row_width": f"row width {other.row_width}",
        "ring_bytes": f"ring {other.ring_bytes >> 10} KiB",
        "attention": f"attention {other.attention}",
        "span": f"span {other.span}",
        "logit_width": f"logits of {other.logit_width} bits",
    }
    return ", ".join(text for name, text in texts.items() if getattr(point, name) != getattr(other, name))


def _verdict(result: Result, other: Result, constraints: Constraints) -> tuple[str, str]:
    if not other.fits:
        return "", f"can't be built: {other.problems[0]}"
    compared = ", ".join(_differences(result, other)) or "the same in everything"
    if unmet := constraints.unmet(other):
        return compared, f"not allowed: {unmet[0]}"
    mine, others = objectives(result), objectives(other)
    if all(a <= b for a, b in zip(mine, others, strict=True)):
        return compared, "better in nothing"
    if all(a >= b for a, b in zip(mine, others, strict=True)):
        return compared, "better, and worse in nothing"
    return compared, "a trade"


def _differences(result: Result, other: Result) -> list[str]:
    """Figures of the other one against those of the result, equal ones left out."""
    mine, others = result.known, other.known
    found = [
        f"{name} {100 * (theirs / ours - 1):+.1f} %"
        for name, ours, theirs in (
            ("time", mine.latency_ms, others.latency_ms),
            ("bytes per image", mine.bytes_per_image, others.bytes_per_image),
        )
        if ours and abs(theirs / ours - 1) >= 0.0005
    ]
    found += [
        f"{theirs - ours:+d} {name}"
        for name, ours, theirs in (
            ("DSP blocks", result.dsp or 0, other.dsp or 0),
            ("RAM blocks", result.ram_blocks or 0, other.ram_blocks or 0),
        )
        if ours != theirs
    ]
    noise = (other.noise_db or 0) - (result.noise_db or 0)
    return found + ([f"{noise:+.1f} dB"] if abs(noise) >= 0.05 else [])
