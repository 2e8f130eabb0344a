# SPDX-License-Identifier: Apache-2.0
"""Ring, row width and attention where they are left open: what the cycle model finds best on the board.

What a machine does not use takes no area, so the least wins among those that are as fast:

- the weight ring has 256 KiB, or more where that saves a thousandth of the cycles, and then the smallest that
  comes within a thousandth of the largest one; or less where no cycle is lost;
- attention is resident, or streamed where that makes room for a ring that saves a thousandth, or fits at all;
- the row width is doubled while that saves a hundredth of the cycles: it costs multipliers and ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hlsgen.boards.board import Board
from hlsgen.errors import DoesNotFit, UnsupportedModel, UsageError
from hlsgen.fit.estimate import Fit, check_fit, estimate
from hlsgen.fit.settings import Settings
from hlsgen.fit.shorten import Shortened, shorten, weights_of
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.time.cycles import Prediction, predict
from hlsgen.machine.time.memory import board_memory
from hlsgen.machine.time.phases import steps_of
from hlsgen.machine.time.plan import Plan, Routing, make_plan

USUAL_RING = 256 * 1024
RING_GAIN, WIDTH_GAIN = 0.001, 0.01
"""Least share of the cycles that a larger ring, and a wider row width, must save."""
LONG = 1 << 22
"""Weights from which on the cycle model sees only some of the equal layers, to save seconds."""


@dataclass(frozen=True)
class Trial:
    """A machine with its cycles for all tasks together, and those in which its array computes."""

    array: ArrayShape
    cycles: int
    steps: int
    fit: Fit

    def saves(self, share: float, other: Trial) -> bool:
        """Whether it takes at least a share of the cycles less than another."""
        return self.cycles <= (1 - share) * other.cycles

    def at_best(self, share: float) -> bool:
        """Whether no machine with this array can save that share, since its array computes all the time."""
        return self.steps > (1 - share) * self.cycles

    def data(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "ring_bytes": self.array.ring_bytes,
            "row_width": self.array.row_width,
            "attention": "streamed" if self.array.streamed else "resident",
            "cycles": self.cycles,
            "dsp": self.fit.dsp,
            "ram_blocks": self.fit.ram_blocks,
        }


@dataclass(frozen=True)
class Choice:
    """The machine that was chosen, and those that were tried for it; none where there was only one."""

    array: ArrayShape
    trials: tuple[Trial, ...]
    open: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """For a design's notes: open settings, the chosen machine, the other trials, the fastest first."""
        chosen = [trial.data() for trial in self.trials if trial.array == self.array]
        others = [trial.data() for trial in self.trials if trial.array != self.array]
        others.sort(key=lambda item: (item["cycles"], item["ram_blocks"], item["dsp"]))
        return {"open": list(self.open), "chosen": chosen[0], "others": others} if chosen else {}


class Chooser:
    """Chooses for one Graph, array and board."""

    def __init__(self, sizer: Sizer, array: ArrayShape, board: Board, settings: Settings) -> None:
        self._sizer, self._array, self._board, self._settings = sizer, array, board, settings
        self._short: tuple[Shortened, Sizer] | None = None
        self._trials: dict[ArrayShape, Trial] = {}

    def choose(self) -> Choice:
        """Raises `DoesNotFit` with the numbers of the variant that needs least, where none fits."""
        settings = self._settings
        found = [(streamed, self._rings(streamed)) for streamed in settings.schedules(self._board)]
        found = [(streamed, rings) for streamed, rings in found if rings]
        if not found:
            *_, least = settings.least(self._array, self._board)
            check_fit(self._sizer.parameters(least), self._board, self._image_bytes(least))
            raise DoesNotFit("no variant fits")  # not reached: what does not fit was refused above
        streamed, rings = found[0]
        if len(found) > 1 and self._words(found[1]) <= self._words(found[0]):
            found.pop()  # streaming makes no room for a larger ring
        widths = settings.widths(self._array, self._board)
        if len(found) == len(rings) == len(widths) == 1:
            array = settings.variant(self._array, streamed=streamed, ring=rings[0], width=widths[0])
            return Choice(array, (), ())
        best = self._ring(streamed, rings)
        for streamed, rings in found[1:]:
            if not best.at_best(RING_GAIN) and self._try(streamed, rings[-1]).saves(RING_GAIN, best):
                best = self._ring(streamed, rings)
        best = self._wider(best, widths)
        return Choice(best.array, tuple(self._trials.values()), settings.open)

    def _rings(self, streamed: bool) -> list[int]:
        """Budgets that fit the board, the smallest first, each for another machine."""
        rings: dict[int, int] = {}
        for ring in self._settings.rings():
            array = self._settings.variant(self._array, streamed=streamed, ring=ring)
            try:
                words = self._sizer.parameters(array).ring_words
            except DoesNotFit:
                return []  # commands count no further, whatever the ring
            if words not in rings and self._fits(array):
                rings[words] = ring
        return list(rings.values())

    def _words(self, found: tuple[bool, list[int]]) -> int:
        """Words of the largest ring."""
        streamed, rings = found
        array = self._settings.variant(self._array, streamed=streamed, ring=rings[-1])
        return self._sizer.parameters(array).ring_words

    def _ring(self, streamed: bool, rings: Sequence[int]) -> Trial:
        """The trial with the ring to take; see the head of this file."""
        at = max([i for i, ring in enumerate(rings) if ring <= USUAL_RING], default=0)
        best = self._try(streamed, rings[at])
        if not best.at_best(RING_GAIN) and at < len(rings) - 1:
            largest = self._try(streamed, rings[-1])
            if largest.saves(RING_GAIN, best):
                return self._smallest(streamed, rings[at + 1 :], largest)
        for ring in reversed(rings[:at]):
            smaller = self._try(streamed, ring)
            if smaller.cycles > best.cycles:
                break
            best = smaller
        return best

    def _smallest(self, streamed: bool, rings: Sequence[int], largest: Trial) -> Trial:
        """The smallest ring that is nearly as fast as the largest, by bisection."""
        low, high, best = 0, len(rings) - 1, largest
        while low < high:
            middle = (low + high) // 2
            trial = self._try(streamed, rings[middle])
            if largest.saves(RING_GAIN, trial):
                low = middle + 1
            else:
                high, best = middle, trial
        return best

    def _wider(self, best: Trial, widths: Sequence[int]) -> Trial:
        """Double the row width while it pays and fits."""
        for width in widths:
            if width == best.array.row_width:
                continue
            if best.at_best(WIDTH_GAIN):
                break
            try:
                trial = self._try(best.array.streamed, best.array.ring_bytes, width)
            except (DoesNotFit, UnsupportedModel, UsageError):
                break  # experts, or rows that begin at another token, take one row at a time
            if not trial.fit.fits or not trial.saves(WIDTH_GAIN, best):
                break
            best = trial
        return best

    # -- one machine -------------------------------------------------------------------------------------

    def _try(self, streamed: bool, ring: int, width: int = 1) -> Trial:
        """Predict a machine, once."""
        array = self._settings.variant(self._array, streamed=streamed, ring=ring, width=width)
        if array not in self._trials:
            self._trials[array] = self._predict(array)
        return self._trials[array]

    def _predict(self, array: ArrayShape) -> Trial:
        parameters = self._sizer.parameters(array)
        fit = estimate(parameters, self._board, self._image_bytes(array))
        short, sizer = self._shortened()
        lowered = sizer.outline(array)
        memory = board_memory(self._board.image)
        cycles = steps = 0
        for task in range(short.graph.tasks):
            routing = Routing(task=task)
            prediction = predict(
                lowered.program, lowered.image, memory, routing, self._board.family.rtl_target
            )
            more = _layer(short, make_plan(lowered.program, lowered.image, routing), prediction)
            cycles += prediction.cycles + short.dropped * more[0]
            steps += prediction.multiply + short.dropped * more[1]
        return Trial(array, cycles, steps, fit)

    def _shortened(self) -> tuple[Shortened, Sizer]:
        if self._short is None:
            graph = self._sizer.graph
            short = shorten(graph) if weights_of(graph) >= LONG else Shortened(graph, 0, ())
            self._short = short, Sizer(short.graph) if short.dropped else self._sizer
        return self._short

    def _fits(self, array: ArrayShape) -> bool:
        parameters = self._sizer.parameters(array)
        return estimate(parameters, self._board, self._image_bytes(array)).fits

    def _image_bytes(self, array: ArrayShape) -> int:
        """Bytes of the Image, where it lies on the chip."""
        return self._sizer.outline(array).image.size if self._board.image == "on_chip" else 0


def _layer(short: Shortened, plan: Plan, prediction: Prediction) -> tuple[int, int]:
    """Cycles and steps of the last of the equal layers that stayed."""
    commands = {view.tensor: view.command for view in plan.program.views if view.which == DRAIN}
    done = {item.command: item.drain_end for item in prediction.jobs}
    for name, twin in short.twins:
        end, begin = commands.get(name), commands.get(twin)
        if end in done and begin in done:
            steps = sum(steps_of(command) for index, command in plan.commands if begin < index <= end)
            return done[end] - done[begin], steps
    return 0, 0
