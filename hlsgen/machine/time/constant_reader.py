# SPDX-License-Identifier: Apache-2.0
"""The reader of the constant stream in the cycle model: a word a cycle, tables some entries a cycle."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hlsgen.machine.format.constants import NO_COMMAND, ConstantMap, Table
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.time.bus import Bus, Channel, beats_of
from hlsgen.machine.time.latency import BEAT, QUEUE, TABLE_ENTRIES, TABLE_WAIT


@dataclass
class ConstantReader:
    """Takes the stream's words in order, as they come.

    Parameters
    ----------
    found
        What lies where in the stream.
    word
        Bytes of a word.
    ring
        Words that the ring of constants holds.
    bus, bus_bytes
        With the channel `constants`.
    """

    found: ConstantMap
    word: int
    ring: int
    bus: Bus
    bus_bytes: int
    place: Callable[[int], int] = int
    """Bytes that are read for so many bytes of the stream."""
    _at: int = 0
    _time: int = 0
    _kept: int = 0
    _taken: list[int] = field(default_factory=list)
    _let: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._passing = {begin for begin, _ in self.found.passing}
        self._tables = deque(self.found.tables)
        self._waiting = deque(table for table in self.found.tables if table.after != NO_COMMAND)
        self._channel.held = [(self.place(table.at + 1) - 1) / self.bus_bytes for table in self._waiting]

    @property
    def _channel(self) -> Channel:
        return self.bus.channels["constants"]

    def there(self, size: int) -> int:
        """When the first `size` bytes are in the machine."""
        while self._at < size:
            if self._tables and self._tables[0].at == self._at:
                self._table(self._tables.popleft())
            else:
                self._next(1, kept=self._at not in self._passing)
        return self._time

    def _next(self, cycles: int, *, kept: bool = False) -> None:
        """The next word, which takes so many cycles; it is `kept` in the ring, which must have room."""
        came = math.ceil(
            self.bus.arrival("constants", beats_of(self.place(self._at + self.word), self.bus_bytes))
        )
        if kept:
            room = self._kept - self.ring
            if 0 <= room < len(self._taken):
                came = max(came, self._taken[room])
            self._kept += 1
        self._time = max(came + BEAT - 1, self._time) + cycles
        self._at += self.word

    def _table(self, table: Table) -> None:
        self._next(1)
        self._time = max(self._time, self._let.get(table.at, 0) + QUEUE)
        for left in range(table.entries, 0, -self.word):
            self._next(ceil_div(min(left, self.word), TABLE_ENTRIES))

    def take(self, time: int) -> None:
        """The next constants leave the ring."""
        self._taken.append(time)

    def drained(self, command: int, time: int) -> None:
        """A command has drained: the tables that waited for it leave the buffer."""
        while self._waiting and self._waiting[0].after <= command:
            table = self._waiting.popleft()
            self._let[table.at] = time + TABLE_WAIT
            self._channel.let.append(time + TABLE_WAIT)
