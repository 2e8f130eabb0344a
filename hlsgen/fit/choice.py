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
from hlsgen.fit.estimate import check_fit
from hlsgen.fit.settings import Settings
from hlsgen.fit.trial import Trial, Trials
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer

USUAL_RING = 256 * 1024
RING_GAIN, WIDTH_GAIN = 0.001, 0.01
"""Least share of the cycles that a larger ring, and a wider row width, must save."""


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
        self._machines = Trials(sizer, board)
        self._trials: dict[ArrayShape, Trial] = {}

    def choose(self) -> Choice:
        """Raises `DoesNotFit` with the numbers of the variant that needs least, where none fits."""
        settings = self._settings
        found = [(streamed, self._rings(streamed)) for streamed in settings.schedules(self._board)]
        found = [(streamed, rings) for streamed, rings in found if rings]
        if not found:
            *_, least = settings.least(self._array, self._board)
            check_fit(self._sizer.parameters(least), self._board, self._machines.image_bytes(least))
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
            if words not in rings and self._machines.fit(array).fits:
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
            self._trials[array] = self._machines.trial(array)
        return self._trials[array]
