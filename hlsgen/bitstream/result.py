# SPDX-License-Identifier: Apache-2.0
"""The result of a build: clocks, resources, placements tried; and the images that a user asks to verify."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlsgen.errors import UsageError

IMAGES = 8
"""How many of the project's images run if nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to verify with: the first `images` of the self test, at most all; `progress` is told of each."""

    images: int | None = None
    progress: Callable[[str], None] = lambda _: None

    def count(self, stored: int) -> int:
        """How many of the images that there are; raises `UsageError` for more."""
        count = min(IMAGES, stored) if self.images is None else self.images
        if not 1 <= count <= stored:
            raise UsageError(f"images to verify must be from 1 to the {stored} of the self test, not {count}")
        return count


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock's frequency in MHz as placed and routed, against the wanted one."""

    name: str
    achieved_mhz: float
    constraint_mhz: float

    @property
    def met(self) -> bool:
        return self.achieved_mhz >= self.constraint_mhz


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One placement."""

    seed: int
    clocks: tuple[Clock, ...]
    seconds: float
    hold_violations: int = 0
    """Paths that are too short: data come before the clock that shall take the data before them."""

    @property
    def met(self) -> bool:
        return all(clock.met for clock in self.clocks) and not self.hold_violations

    @property
    def worst(self) -> Clock | None:
        """The clock with the least margin, or none in a design without clocks."""
        return min(self.clocks, key=lambda c: c.achieved_mhz / c.constraint_mhz, default=None)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Images that the netlist answered as golden does, in a simulation of the board at its pins."""

    netlist: str
    sha256: str
    """SHA-256 of the netlist: place and route was given the same."""
    images: int
    cycles: tuple[int, ...]
    """Cycles of each image from start to done, as the board tells them."""
    build_seconds: float
    run_seconds: float

    def __str__(self) -> str:
        seconds = f"built in {self.build_seconds:.0f} s, {self.run_seconds / self.images:.1f} s an image"
        return (
            f"netlist {self.sha256[:16]}: {self.images} images equal to golden in every logit and class, "
            f"at most {max(self.cycles)} cycles ({seconds})"
        )


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """A bitstream and what it takes of the part."""

    path: Path
    seed: int
    clocks: tuple[Clock, ...]
    used: Mapping[str, tuple[int, int]]
    """Resource to number used and number available."""
    attempts: tuple[Attempt, ...]
    seconds: float
    verified: Verification | None = None
    notes: tuple[str, ...] = ()
    """What else the family's tools say."""

    @property
    def data(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return dataclasses.asdict(self) | {"path": str(self.path), "seconds": round(self.seconds, 1)}

    def __str__(self) -> str:
        lines = [f"{self.path} (seed {self.seed}, {self.seconds:.0f} s)"]
        lines += [
            f"  clock {clock.name}: {clock.achieved_mhz:.1f} MHz, {clock.constraint_mhz:.1f} MHz wanted"
            for clock in self.clocks
        ]
        lines += [f"  {name}: {used} of {available}" for name, (used, available) in self.used.items()]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {self.verified}"] if self.verified else []
        return "\n".join(lines)
