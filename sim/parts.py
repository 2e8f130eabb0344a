# SPDX-License-Identifier: Apache-2.0
"""A simulation whose images are split over workers: its result is that of one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hlsgen.errors import HlsgenError
from hlsgen.executors.executor import Executor, cut, ordered
from hlsgen.sim.levels import Share, check_request, chosen, keep, prepare, simulate
from hlsgen.sim.result import Simulation
from hlsgen.store.samples import Samples

if TYPE_CHECKING:
    from hlsgen.store.compiled import Compiled

PARTS = 2
"""Parts for each worker: one that is slow or lost holds up the others less."""


@dataclass(frozen=True)
class _Call:
    """What all parts share; the images travel with the parts."""

    design: Compiled
    level: str
    simulator: str
    task: int
    total: int


def simulate_parts(
    design: Compiled,
    executor: Executor,
    *,
    level: str = "program",
    simulator: str = "verilator",
    samples: int | None = None,
    task: int = 0,
) -> Simulation:
    """As `hlsgen.sim.levels.simulate`. Of several differences the one of the first image is raised."""
    check_request(level, simulator, samples, len(design.samples))
    images = chosen(design, level, simulator, samples)
    prepare(design, level, simulator, len(images), task)
    parts = [
        (part.start, _some(design.samples, part.start, part.stop))
        for part in cut(len(images), PARTS * executor.workers)
    ]
    call = _Call(dataclasses.replace(design, samples=parts[0][1]), level, simulator, task, len(images))
    found = ordered(executor.run(_simulate, call, parts), len(parts), lambda _: None)
    for item in found:
        if isinstance(item, HlsgenError):
            raise item
    result = joined(found)
    keep(design, result)
    return result


def _some(samples: Samples, first: int, end: int) -> Samples:
    labels = samples.labels
    return Samples(samples.images[first:end], None if labels is None else labels[first:end])


def _simulate(call: _Call, part: tuple[int, Samples]) -> Simulation | HlsgenError:
    """One part; an error is a result, so that the first part's counts, whichever comes first."""
    first, samples = part
    try:
        return simulate(
            dataclasses.replace(call.design, samples=samples),
            level=call.level,
            simulator=call.simulator,
            samples=len(samples),
            task=call.task,
            share=Share(first, call.total),
        )
    except HlsgenError as error:
        return error


def joined(parts: Sequence[Simulation]) -> Simulation:
    """The simulation of all images, of simulations of some, in order."""

    def all_of(name: str) -> tuple[object, ...]:
        return tuple(item for part in parts for item in getattr(part, name))

    several = ("classes", "labels", "counters", "processor_cycles")
    slowest: Mapping[int, int] = max(parts, key=lambda part: part.cycles).ends
    return dataclasses.replace(
        parts[0],
        images=sum(part.images for part in parts),
        elements=sum(part.elements for part in parts),
        ends=slowest,
        **{name: all_of(name) for name in several},  # type: ignore[arg-type]
    )
