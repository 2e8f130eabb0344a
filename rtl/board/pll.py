# SPDX-License-Identifier: Apache-2.0
"""A phase locked loop of any family: legal dividers for a frequency; and a board top whose clock it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from amaranth import Instance, Module, Signal, Value

from hlsgen.errors import Problem, UsageError
from hlsgen.machine.format.program import Program
from hlsgen.rtl.board.top import BoardTop, Lights, SameClock, Serial

TOLERANCE = 0.005
"""How far below the wanted frequency the loop may end up."""
Range = tuple[float, float]
"""Lowest and highest, in MHz."""


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Dividers of the reference, the feedback and the oscillator: output = input x feedback / reference."""

    input_mhz: float
    reference: int
    feedback: int
    post: int

    @property
    def mhz(self) -> float:
        """The output's frequency."""
        return self.input_mhz * self.feedback / self.reference

    @property
    def detector_mhz(self) -> float:
        """What reference and feedback are compared at."""
        return self.input_mhz / self.reference

    @property
    def oscillator_mhz(self) -> float:
        """The frequency that the post divider makes the output of."""
        return self.mhz * self.post


@dataclass(frozen=True, kw_only=True)
class PllKind:
    """A family's loops.

    name: in messages. dividers: legal values of reference and feedback; posts: of the divider behind the
    oscillator. instance: the family's cell of a loop, its clock, its output and the level that tells of lock.
    """

    name: str
    dividers: range
    posts: Sequence[int]
    detector_mhz: Range
    oscillator_mhz: Range
    output_mhz: Range
    instance: Callable[[Pll, Signal, Signal, Signal], Instance]

    def find(self, input_mhz: float, wanted_mhz: float) -> Pll:
        """The dividers nearest to `wanted_mhz` that don't exceed it; `UsageError` when none comes near.

        Among equals the fastest detector wins, then the oscillator nearest to the middle of its range.
        """
        middle = sum(self.oscillator_mhz) / 2
        best = max(
            self._legal(input_mhz, wanted_mhz),
            key=lambda pll: (round(pll.mhz, 9), -pll.reference, -abs(pll.oscillator_mhz - middle)),
            default=None,
        )
        if best is None or best.mhz < wanted_mhz * (1 - TOLERANCE):
            nearest = f", try {best.mhz:.6g}" if best else ""
            low, high = self.output_mhz
            raise UsageError(
                Problem(
                    f"core_mhz must be what the {self.name} makes of {input_mhz:g} MHz, not {wanted_mhz:g}",
                    why=f"no legal dividers come within {100 * TOLERANCE:g} % of it",
                    fix=f"choose a frequency in {low:g}..{high:g} MHz{nearest}",
                )
            )
        return best

    def _legal(self, input_mhz: float, wanted_mhz: float) -> Iterator[Pll]:
        """For each reference and post divider the largest feedback that gives no more than is wanted."""
        for reference in self.dividers:
            # Rounding must not lose an exact quotient.
            feedback = min(int(wanted_mhz * reference / input_mhz + 1e-9), self.dividers[-1])
            if feedback < self.dividers[0]:
                continue
            for post in self.posts:
                pll = Pll(input_mhz=input_mhz, reference=reference, feedback=feedback, post=post)
                limits = (
                    (pll.detector_mhz, self.detector_mhz),
                    (pll.mhz, self.output_mhz),
                    (pll.oscillator_mhz, self.oscillator_mhz),
                )
                if all(low - 1e-9 <= value <= high + 1e-9 for value, (low, high) in limits):
                    yield pll


@dataclass(frozen=True)
class PllClock:
    """The core's clock from a loop."""

    kind: PllKind
    pll: Pll

    @property
    def mhz(self) -> float:
        return self.pll.mhz

    def make(self, m: Module, source: Signal) -> tuple[Value, Value]:
        core, locked = Signal(), Signal()
        m.submodules.pll = self.kind.instance(self.pll, source, core, locked)
        return core, locked


class PllBoardTop(BoardTop):
    """A board top whose clock a loop makes of the board's; a family's top says which, at which pin.

    Parameters
    ----------
    program, image, serial, target
        See `BoardTop`; the target is by default the family's.
    core_mhz
        The core's clock; the loop makes it, or the nearest frequency below.
    clock_mhz
        The board's clock.
    pll
        Without it the board's clock is the core's, whatever `core_mhz` says: for simulation.
    """

    KIND: ClassVar[PllKind]
    CLOCK_PIN: ClassVar[str]
    TARGET: ClassVar[str] = "generic"
    LIGHTS: ClassVar[Lights] = Lights()

    def __init__(
        self,
        program: Program,
        image: bytes,
        *,
        core_mhz: float,
        clock_mhz: float,
        serial: Serial | None = None,
        target: str | None = None,
        pll: bool = True,
    ) -> None:
        clock = PllClock(self.KIND, self.KIND.find(clock_mhz, core_mhz)) if pll else SameClock(clock_mhz)
        super().__init__(
            program,
            image,
            clock=clock,
            clock_pin=self.CLOCK_PIN,
            serial=serial or Serial(),
            target=target or self.TARGET,
            lights=self.LIGHTS,
        )
