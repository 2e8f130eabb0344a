# SPDX-License-Identifier: Apache-2.0
"""The reader of the constant stream in the cycle model: a word a cycle, tables some entries a cycle."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hlsgen.machine.format.constants import NO_COMMAND, TABLE_ENTRIES, ConstantMap
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.time.bus import Bus, beats_of
from hlsgen.machine.time.latency import BEAT, QUEUE, TABLE_BEGIN, TABLE_WAIT


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
    size: int
    """Bytes of the stream."""
    place: Callable[[int], int] = int
    """Bytes that are read for so many bytes of the stream."""
    _at: int = 0
    _time: int = 0
    _free: int = 0
    _kept: int = 0
    _taking: bool = False
    """The bus reads on for a word: it must not take others meanwhile."""
    _entries: deque[int] = field(default_factory=deque)
    """Cycles of each word that is left of a table."""
    _taken: list[int] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)
    """When each word was taken."""
    _let: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The next word is put together of beats only when the one before has been taken as a whole.
        self._gathered = max(1, self.word // self.bus_bytes)
        self._passing = {begin for begin, _ in self.found.passing}
        self._tables = deque(self.found.tables)
        self._waiting = deque(table for table in self.found.tables if table.after != NO_COMMAND)

    def there(self, size: int) -> int:
        """When the first `size` bytes are in the machine."""
        while self._at < size:
            self._item()
        return self._times[ceil_div(size, self.word) - 1]

    def advance(self) -> None:
        """Take all words of which it is known when they can be taken."""
        while not self._taking and self._at < self.size and self._known():
            self._item()

    def _known(self) -> bool:
        """Whether the next word has been asked for, and there is room for it."""
        if self._begins and (table := self._tables[0]).after != NO_COMMAND and table.at not in self._let:
            return False
        if not self._passes and self._kept - self.ring >= len(self._taken):
            return False
        beats = beats_of(self.place(self._at + self.word), self.bus_bytes)
        return self.bus.known("constants", beats) is not None

    @property
    def _begins(self) -> bool:
        """Whether the next word is a table's header."""
        return bool(self._tables) and self._tables[0].at == self._at

    @property
    def _passes(self) -> bool:
        """Whether the next word takes no room in the ring."""
        return bool(self._entries) or self._at in self._passing

    def _item(self) -> None:
        """The next word, which may be a table's header, or some of its entries."""
        self._taking = True
        if self._entries:
            self._next(self._entries.popleft())
        elif self._begins:
            table = self._tables.popleft()
            self._next(1)
            self._free = max(self._free + TABLE_BEGIN, self._let.get(table.at, 0) + QUEUE)
            words = range(table.entries, 0, -self.word)
            self._entries.extend(ceil_div(min(left, self.word), TABLE_ENTRIES) for left in words)
        else:
            self._next(1, kept=not self._passes)
        self._taking = False

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
        self._time = max(came + BEAT - 1, self._free + self._gathered - 1) + cycles
        self._at += self.word
        self._times.append(self._time)
        left, end = self.place(self._at), self.place(self._at + 1) - 1
        # Words behind a section's last one are dropped.
        self._free = self._time + max(0, end - left) // self.word * self._gathered
        self.bus.channels["constants"].free(self._free, max(left, end) / self.bus_bytes)

    def take(self, time: int) -> None:
        """The next constants leave the ring."""
        self._taken.append(time)

    def drained(self, command: int, time: int) -> None:
        """A command has drained: the tables that waited for it leave the buffer."""
        while self._waiting and self._waiting[0].after <= command:
            self._let[self._waiting.popleft().at] = time + TABLE_WAIT
