# SPDX-License-Identifier: Apache-2.0
"""What is known of a point: time, resources, traffic, noise, what bounds it, and why it can't be built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlsgen.explore.point import Point
from hlsgen.machine.time.waits import Waits

REMEDIES = {
    "array": "a larger array",
    "drain": "a larger row width, or fewer rows and a deeper array",
    "memory": "a larger weight ring, a wider bus, or a smaller array",
    "load": "a larger row width, or fewer rows",
    "operands": "resident attention",
    "ends": "more work in an image: the rest is the way through the machine",
}
"""What shortens each part of the time."""
BOUND = 0.9
"""Share of the cycles in which the array computes from which on nothing else is said to bound it."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of an image, by the cycle model, at the board's clock; of several tasks all of them, one by one."""

    cycles: int
    latency_ms: float
    frames_per_second: float
    bytes_per_image: int
    """Read over the bus; 0 where the Image lies on the chip."""
    megabytes_per_second: float
    ring_words: int
    waits: Waits

    @property
    def bound(self) -> str:
        """The field of `Waits` that bounds the time."""
        waits = dataclasses.asdict(self.waits)
        if waits["array"] >= BOUND * self.cycles:
            return "array"
        del waits["array"]
        return max(waits, key=lambda name: waits[name])


@dataclass(frozen=True, kw_only=True)
class Result:
    """A point with its figures, or with the reasons why there is no such machine on the board.

    The blocks are estimates. Noise is the first output's signal to noise on the calibration images.
    """

    point: Point
    problems: tuple[str, ...] = ()
    dsp: int | None = None
    ram_blocks: int | None = None
    dsp_share: float = 0.0
    ram_share: float = 0.0
    noise_db: float | None = None
    centred_db: float | None = None
    figures: Figures | None = None

    @property
    def fits(self) -> bool:
        """Whether it can be built."""
        return not self.problems

    @property
    def share(self) -> float:
        """Of the board: the larger one of the shares of its DSP blocks and of its RAM blocks."""
        return max(self.dsp_share, self.ram_share)

    @property
    def known(self) -> Figures:
        """The figures of a point that fits."""
        assert self.figures is not None
        return self.figures

    def data(self) -> dict[str, Any]:
        """Ready for JSON; `of` reads it."""
        found = dataclasses.asdict(self) | {"point": self.point.data(), "problems": list(self.problems)}
        if self.figures is not None:
            found["figures"]["bound"] = self.figures.bound
        return found

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Result:
        """The result of JSON data that `data` gave; raises `KeyError`, `TypeError` or `UsageError` else."""
        fields = dict(data)
        figures = fields["figures"] and dict(fields["figures"])
        if figures:
            del figures["bound"]
            figures = Figures(**{**figures, "waits": Waits(**figures["waits"])})
        point, problems = Point.of(fields["point"]), tuple(fields["problems"])
        return cls(**{**fields, "point": point, "problems": problems, "figures": figures})
