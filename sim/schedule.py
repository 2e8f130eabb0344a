# SPDX-License-Identifier: Apache-2.0
"""What the model of the C++'s processes says of an input: its cycles, who waited, how full the FIFOs were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """A process: iterations of its loop, cycles that it waited for a full FIFO, for external memory."""

    iterations: int
    full: int
    memory: int


@dataclass(frozen=True)
class Fifo:
    """A FIFO: its depth, and the most words that it held."""

    depth: int
    most: int


@dataclass(frozen=True)
class Schedule:
    """One input. cycles: from the Image's header to the end of the last process, the header not counted."""

    cycles: int
    loops: Mapping[str, Loop]
    fifos: Mapping[str, Fifo]


def read(text: str) -> tuple[Schedule, ...]:
    """The schedules that `Network::print` of templates/hls/dataflow.hpp.j2 has written, input by input."""
    found = []
    for part in text.split("cycles ")[1:]:
        first, *rest = part.splitlines()
        words = [line.split() for line in rest]
        loops = {name: Loop(*map(int, values[:3])) for kind, name, *values in words if kind == "process"}
        fifos = {name: Fifo(*map(int, values)) for kind, name, *values in words if kind == "fifo"}
        found.append(Schedule(int(first), loops, fifos))
    return tuple(found)
