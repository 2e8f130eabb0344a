# SPDX-License-Identifier: Apache-2.0
"""The planner in the cycle model: when a machine that may skip commands opens their sections.

It mirrors `rtl/sequence/planner.py`: commands pass one by one, each opens its section of weights, then that
of constants, as soon as all of the section before has been asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from hlsgen.machine.format.commands import COMMAND_BYTES, Command, Target
from hlsgen.machine.format.constants import word_bytes
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.time.bus import Bus, beats_of
from hlsgen.machine.time.depths import COMMANDS_AHEAD
from hlsgen.machine.time.latency import COMMAND, GATHER, NEXT, OPENED, QUEUE, SETTLE, SKIP, SPENT
from hlsgen.machine.time.plan import Plan


@dataclass(frozen=True)
class Section:
    """Bytes in the stream, in whole units, and the unit of the Image's section where it begins."""

    size: int
    units: int
    place: int


def sections_of(plan: Plan, name: str) -> list[Section | None]:
    """Each running command's section of `weights` or `constants`; None: it has none."""
    p = plan.program.parameters
    word = p.columns * p.depth if name == "weights" else word_bytes(p.columns)
    places, at = [], 0
    for command in plan.program.commands:
        places.append(at)
        at += command.weight_units if name == "weights" else command.constant_units
    found: list[Section | None] = []
    for index, command in plan.commands:
        units = command.weight_units if name == "weights" else command.constant_units
        words = command.weight_words if name == "weights" else command.constant_words
        found.append(Section(words * word, units, places[index]) if units else None)
    return found


class Sections:
    """A stream's sections side by side: padded, as they are read, and without padding, as they are used."""

    def __init__(self, found: list[Section | None]) -> None:
        self.ends: list[tuple[int, int]] = []
        """Used bytes and read bytes, in all, at each section's end."""
        self.padding: list[tuple[int, int]] = []
        """Ranges of read bytes that nobody uses."""
        self.begins: list[tuple[int, int]] = []
        """Used bytes and read bytes before each section."""
        used = read = 0
        for section in found:
            if section is None:
                continue
            self.begins.append((used, read))
            used, whole = used + section.size, read + section.units * SECTION_ALIGN
            self.padding.append((read + section.size, whole))
            read = whole
            self.ends.append((used, read))

    def read(self, used: int) -> int:
        """Read bytes up to `used` ones."""
        at = bisect_left(self.ends, (used, 0))
        if not used or at == len(self.ends):
            return self.ends[-1][1] if used else 0
        before, begin = self.begins[at]
        return begin + used - before


@dataclass
class Planner:
    """When each command that runs is given to the sequencer; the channels' gates open on the way.

    Parameters
    ----------
    plan
        The commands that run.
    bus
        With the channels `commands`, `weights` and `constants`, whose `gates` are lists.
    """

    plan: Plan
    bus: Bus
    given: list[int] = field(default_factory=list)
    """When each running command is the sequencer's."""
    released: list[int] = field(default_factory=list)
    """When the sequencer had let go of each running command."""
    routings: list[int] = field(default_factory=list)
    """When each routing was complete."""
    _free: int = 0
    _gone: int = 0
    _opened: int = -SETTLE
    _passed: int = 0
    _next_number: int = 0

    def __post_init__(self) -> None:
        self._sections = {name: sections_of(self.plan, name) for name in ("weights", "constants")}
        self._beats = beats_of(COMMAND_BYTES, self.plan.program.parameters.bus_bytes)
        self._read = dict.fromkeys(self._sections, 0)
        self._pending: tuple[int, dict[str, int]] | None = None

    def advance(self) -> None:
        """Pass as many commands as what is known allows."""
        while len(self.given) < len(self.plan.commands) and self._pass():
            pass

    def _pass(self) -> bool:
        """The next command passes, or stops at a section; False: what it waits for is not known."""
        at = len(self.given)
        number, command = self.plan.commands[at]
        if self._pending is None:
            taken = self._taken(at, number, command)
            if taken is None:
                return False
            self._pending = taken, {}
        time, opened = self._pending
        for name in self._sections:
            if name not in opened:
                when = self._open(name, at, time)
                if when is None:
                    return False
                time = opened[name] = when
                self._pending = time, opened
        self._pending = None
        self._next_number = number + 1
        self._passed += command.target is Target.QUEUES
        self.given.append(time + QUEUE)
        self._leave(time + NEXT)
        return True

    def _leave(self, time: int) -> None:
        """A command has left by `time`: the beats of the next one follow, one a cycle."""
        self._gone += self._beats
        self.bus.channels["commands"].free(time, self._gone)
        self._free = time + self._beats

    def _taken(self, at: int, number: int, command: Command) -> int | None:
        """When the command's first section may be opened."""
        while self._next_number < number:
            if not self._skip(self.plan.program.commands[self._next_number]):
                return None
        waits = at - COMMANDS_AHEAD - 1
        came = self._came(number)
        if came is None or waits >= len(self.released):
            return None
        time = max(came, self._free, self.released[waits] if waits >= 0 else 0) + 1
        return self._looked_up(command, time)

    def _skip(self, command: Command) -> bool:
        """The next command is one that doesn't run; False: what it waits for is not known."""
        came = self._came(self._next_number)
        time = None if came is None else max(came, self._free) + 1
        if time is not None and command.runs_for(self.plan.task):
            time = self._looked_up(command, time)
        if time is None:
            return False
        self._leave(time - 1 + SKIP)
        self._next_number += 1
        return True

    def _looked_up(self, command: Command, time: int) -> int | None:
        """When a command's queue is known, if it has one; None: its routing is not complete."""
        if not command.expert:
            return time
        if self._passed > len(self.routings):
            return None
        routed = self.routings[self._passed - 1] if self._passed and command.gather else 0
        return max(time, routed) + GATHER

    def _came(self, number: int) -> int | None:
        """When a command is at the planner, if it has been asked for."""
        came = self.bus.known("commands", self._beats * (number + 1))
        return None if came is None else math.ceil(came) + COMMAND

    def _open(self, name: str, at: int, time: int) -> int | None:
        """When the state of a section is left; its gate opens."""
        section = self._sections[name][at]
        if section is None:
            return time + 1
        channel = self.bus.channels[name]
        if channel.asked < self._read[name] // self.plan.program.parameters.bus_bytes:
            return None
        spent = channel.requested + SPENT if self._read[name] else 0
        opened = int(max(time, self._opened + SETTLE + 1, spent))
        self._opened = opened
        self._read[name] += section.units * SECTION_ALIGN
        assert channel.gates is not None
        beats = self._read[name] // self.plan.program.parameters.bus_bytes
        channel.gates.append((beats, opened + OPENED))
        return opened + 1
