# SPDX-License-Identifier: Apache-2.0
"""Which points are worth having: what a user demands, and the Pareto front of what is left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hlsgen.explore.result import Result

GRAIN = 0.001
"""Times and bytes that differ by less than this share count as equal."""
NOISE_GRAIN = 0.1
"""The same of signal to noise, in dB."""
NEARLY = 0.01
"""Among points that are slower than the fastest by at most this share, fewer resources are better."""
OBJECTIVES = ("time", "DSP blocks", "RAM blocks", "bytes per image", "noise")


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What every point must meet. Blocks are the estimate's."""

    fps: float | None = None
    """Images per second, at least."""
    latency_ms: float | None = None
    """Milliseconds for an image, at most."""
    max_dsp: int | None = None
    max_ram: int | None = None
    max_megabytes: float | None = None
    """Million bytes per second over the bus, at most."""
    min_db: float | None = None
    """Signal to noise of the first output, at least."""

    @property
    def timed(self) -> bool:
        """Whether a time is demanded: then the cheapest point that keeps it is best, else the fastest."""
        return self.fps is not None or self.latency_ms is not None

    def unmet(self, result: Result) -> list[str]:
        """What a point that fits does not meet, in words."""
        known, found = result.known, []
        for limit, value, sign, text in (
            (self.fps, known.frames_per_second, 1, "{:.4g} images/s, not {:.4g}"),
            (self.latency_ms, known.latency_ms, -1, "{:.4g} ms, not {:.4g}"),
            (self.max_dsp, result.dsp, -1, "{} DSP blocks, not {}"),
            (self.max_ram, result.ram_blocks, -1, "{} RAM blocks, not {}"),
            (self.max_megabytes, known.megabytes_per_second, -1, "{:.4g} MB/s, not {:.4g}"),
            (self.min_db, result.noise_db, 1, "{:.4g} dB, not {:.4g}"),
        ):
            if limit is not None and value is not None and sign * value < sign * limit:
                found.append(f"at {'least' if sign > 0 else 'most'} {text.format(limit, value)}")
        return found

    def met(self, result: Result) -> bool:
        """Whether a point fits and meets all of them."""
        return result.fits and not self.unmet(result)


def objectives(result: Result) -> tuple[float, ...]:
    """What is to be small, in the order of `OBJECTIVES`; values that are nearly equal are equal."""
    known = result.known
    return (
        round(math.log(known.latency_ms) / GRAIN),
        float(result.dsp or 0),
        float(result.ram_blocks or 0),
        round(math.log(known.bytes_per_image) / GRAIN) if known.bytes_per_image else 0,
        -round((result.noise_db or 0) / NOISE_GRAIN),
    )


def front(results: Iterable[Result]) -> list[Result]:
    """Results that fit and that no other one on the same board beats: the fastest first.

    Of results that are equal in everything the one of the smallest point stays.
    """
    fitting = [result for result in results if result.fits]
    ranked = sorted(((objectives(each), each.point, each) for each in fitting), key=lambda item: item[:2])
    found: list[Result] = []
    kept: dict[str, list[tuple[float, ...]]] = {}
    for values, point, result in ranked:
        others = kept.setdefault(point.board, [])
        if not any(all(a <= b for a, b in zip(other, values, strict=True)) for other in others):
            others.append(values)
            found.append(result)
    return sorted(found, key=lambda result: (result.known.latency_ms, result.share, result.point))


def ranking(results: Sequence[Result], constraints: Constraints) -> list[Result]:
    """Results of a front that meet the constraints, the best first; see `NEARLY` and `Constraints.timed`."""
    left = [result for result in results if constraints.met(result)]
    if constraints.timed:
        return sorted(left, key=lambda result: (result.share, result.known.latency_ms, result.point))
    fastest = min([result.known.latency_ms for result in left], default=0.0)
    return sorted(
        left,
        key=lambda result: (
            math.floor(math.log(result.known.latency_ms / fastest) / NEARLY),
            result.share,
            result.known.latency_ms,
            result.point,
        ),
    )
