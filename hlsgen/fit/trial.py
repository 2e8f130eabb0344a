# SPDX-License-Identifier: Apache-2.0
"""One machine on a board, sized and predicted: what it takes, how long an image takes, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hlsgen.boards.board import Board
from hlsgen.fit.estimate import Fit, estimate
from hlsgen.fit.shorten import Shortened, shorten, weights_of
from hlsgen.lower.size import ArrayShape
from hlsgen.lower.sizer import Sizer
from hlsgen.machine.format.interface import DRAIN
from hlsgen.machine.format.parameters import MachineParameters
from hlsgen.machine.time.cycles import Prediction, bytes_read, predict
from hlsgen.machine.time.memory import board_memory
from hlsgen.machine.time.phases import steps_of
from hlsgen.machine.time.plan import Plan, Routing, make_plan
from hlsgen.machine.time.waits import Waits, waits_of

LONG = 1 << 22
"""Weights from which on the cycle model sees only some of the equal layers, to save seconds."""


@dataclass(frozen=True)
class Trial:
    """A machine with its cycles for all tasks together, and those in which its array computes.

    waits: what MULTIPLY did in each cycle.
    """

    array: ArrayShape
    cycles: int
    steps: int
    fit: Fit
    waits: Waits = field(default_factory=Waits)

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
class _Time:
    """Cycles, steps and waits, of an image or of a part of it."""

    cycles: int = 0
    steps: int = 0
    waits: Waits = field(default_factory=Waits)

    def plus(self, other: _Time, times: int = 1) -> _Time:
        """This, and another one so many times."""
        return _Time(
            self.cycles + times * other.cycles,
            self.steps + times * other.steps,
            self.waits.plus(other.waits, times),
        )


class Trials:
    """Machines for one Graph on one board. Each is predicted once, whatever budgets lead to it."""

    def __init__(self, sizer: Sizer, board: Board) -> None:
        self._sizer, self._board = sizer, board
        self._memory, self._target = board_memory(board.image), board.family.rtl_target
        self._short: tuple[Shortened, Sizer] | None = None
        self._known: dict[tuple[MachineParameters, int], _Time] = {}
        self._sized: dict[ArrayShape, MachineParameters] = {}

    def parameters(self, array: ArrayShape) -> MachineParameters:
        """The machine; raises `DoesNotFit` where its limits are exceeded."""
        if array not in self._sized:
            self._sized[array] = self._sizer.parameters(array)
        return self._sized[array]

    def fit(self, array: ArrayShape) -> Fit:
        """What the machine takes of the board; raises `DoesNotFit` as `parameters` does."""
        return estimate(self.parameters(array), self._board, self.image_bytes(array))

    def image_bytes(self, array: ArrayShape) -> int:
        """Bytes of the Image, where it lies on the chip."""
        return self._sizer.outline(array).image.size if self._board.image == "on_chip" else 0

    def trial(self, array: ArrayShape) -> Trial:
        """The machine's time as well; raises `DoesNotFit` as `parameters` does."""
        parameters, fit = self.parameters(array), self.fit(array)
        key = parameters, array.span if parameters.streamed else 0
        if key not in self._known:
            self._known[key] = self._time(array)
        time = self._known[key]
        return Trial(array, time.cycles, time.steps, fit, time.waits)

    def bytes_read(self, array: ArrayShape) -> int:
        """Bytes that come over the bus, for all tasks together."""
        lowered = self._sizer.outline(array)
        plans = (
            make_plan(lowered.program, lowered.image, Routing(task=task))
            for task in range(self._sizer.graph.tasks)
        )
        return sum(bytes_read(plan, lowered.image) for plan in plans)

    def _time(self, array: ArrayShape) -> _Time:
        short, sizer = self._shortened()
        lowered, time = sizer.outline(array), _Time()
        for task in range(short.graph.tasks):
            routing = Routing(task=task)
            prediction = predict(lowered.program, lowered.image, self._memory, routing, self._target)
            plan = make_plan(lowered.program, lowered.image, routing)
            waits = waits_of(prediction, dict(plan.commands), lowered.program.parameters)
            time = time.plus(_Time(prediction.cycles, prediction.multiply, waits))
            time = time.plus(_layer(short, plan, prediction), short.dropped)
        return time

    def _shortened(self) -> tuple[Shortened, Sizer]:
        if self._short is None:
            graph = self._sizer.graph
            short = shorten(graph) if weights_of(graph) >= LONG else Shortened(graph, 0, ())
            self._short = short, Sizer(short.graph) if short.dropped else self._sizer
        return self._short


def _layer(short: Shortened, plan: Plan, prediction: Prediction) -> _Time:
    """The last of the equal layers that stayed."""
    commands = {view.tensor: view.command for view in plan.program.views if view.which == DRAIN}
    done = {item.command: item.drain_end for item in prediction.jobs}
    for name, twin in short.twins:
        end, begin = commands.get(name), commands.get(twin)
        if end in done and begin in done:
            ran = {index: command for index, command in plan.commands if begin < index <= end}
            waits = waits_of(prediction, ran, plan.program.parameters)
            return _Time(done[end] - done[begin], sum(map(steps_of, ran.values())), waits)
    return _Time()
