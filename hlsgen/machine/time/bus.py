# SPDX-License-Identifier: Apache-2.0
"""The read bus of the cycle model: which burst is read when, burst by burst.

It mirrors `rtl/outside/fetch.py`: channels served in turn, but pixels before weights or weights before
pixels, a bounded number of bursts under way, and for each channel only as much as its buffer has room for.
Sizes and depths are those of `hlsgen/machine/time/depths.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.time.depths import burst_bytes, outstanding
from hlsgen.machine.time.latency import PACED, REQUESTS, ROOM, SECTIONS, SLOT


@dataclass
class Channel:
    """A section of `beats` that is read in order, through a buffer of `buffer` beats into a `ring` of beats.

    A beat leaves the buffer when it has come and the ring has room; `passing` are ranges, in order, that take
    no room in it (headers, tables). Only what the buffer has room for is asked for.
    """

    beats: int
    buffer: int
    ring: float
    offset: int = 0
    """Beats from a burst's boundary to the section: the first burst is that much shorter."""
    paced: bool = False
    """Whether what is let go of at once leaves room beat by beat, as the beats of the next word follow."""
    passing: tuple[tuple[float, float], ...] = ()
    asked: int = 0
    freed: list[tuple[float, float]] = field(default_factory=list)
    """When the ring had let go of how many beats in all, in order."""
    arrived: list[tuple[int, float]] = field(default_factory=list)
    """Beats in all after each burst, and when its last beat came."""
    stops: Sequence[int] = ()
    """Beats in all at the ends of sections, in order: no burst goes beyond one."""
    requested: float = -math.inf
    """When the last burst was asked for."""
    places: Sequence[int] = ()
    """Beats from a burst's boundary to each of those sections, where they don't lie side by side."""
    gates: list[tuple[int, float]] | None = None
    """How many beats in all may be asked for from when on, in order; None: all of them from the start."""

    def __post_init__(self) -> None:
        self._begins = [begin for begin, _ in self.passing]
        self._before = [0.0, *accumulate(end - begin for begin, end in self.passing)]
        self._known: float | None = None
        self._gate = self._room = 0

    def free(self, time: float, beats: float) -> None:
        """The ring has let go of `beats` in all by `time`."""
        self.freed.append((time, beats))

    def size(self, burst: int) -> int:
        """Beats of the next burst, up to a multiple of `burst` and the end of its section."""
        stop = bisect_right(self.stops, self.asked)
        end = self.stops[stop] if stop < len(self.stops) else self.beats
        if self.places and stop < len(self.stops):
            begin = self.stops[stop - 1] if stop else 0
            return min(burst - (self.places[stop] + self.asked - begin) % burst, end - self.asked)
        return min(burst - (self.offset + self.asked) % burst, end - self.asked)

    def ready(self, burst: int) -> float | None:
        """The earliest cycle of the next burst's request; None: unknown yet, infinite: there is none."""
        if self._known is None:
            size = self.size(burst)
            time = self._when(self.asked + size) if size else math.inf
            before = bisect_right(self.stops, self.asked) - 1
            begins = before >= 0 and self.stops[before] == self.asked
            apart = SECTIONS if begins else REQUESTS
            self._known = None if time is None else max(time, self.requested + apart)
        return self._known

    def _when(self, end: int) -> float | None:
        """The earliest cycle of a request for beats up to `end`. `end` never falls: each search goes on."""
        gate = 0.0
        if self.gates is not None:
            self._gate = _first(self.gates, self._gate, end, 0)
            if self._gate == len(self.gates):
                return None
            gate = self.gates[self._gate][1]
        left = end - self.buffer
        if left <= 0:
            return gate
        came = self.arrived[bisect_left(self.arrived, (left, 0.0))][1]
        kept = left - self._passed(left) - self.ring
        if kept <= 0:
            return max(came + ROOM, gate)
        self._room = _first(self.freed, self._room, kept, 1)
        if self._room == len(self.freed):
            return None
        room = self.freed[self._room][0] + ROOM
        if self.paced:
            room += kept - (self.freed[self._room - 1][1] if self._room else 0) - PACED
        return max(came + ROOM, room, gate)

    def arrive(self, size: int, request: float, end: float) -> None:
        """A burst was asked for at `request`; its last beat comes the cycle before `end`."""
        self.asked += size
        self.requested = request
        self.arrived.append((self.asked, end))
        self._known = None

    def _passed(self, beats: int) -> float:
        """How many of the first `beats` take no room in the ring."""
        index = bisect_left(self._begins, beats) - 1
        if index < 0:
            return 0.0
        begin, end = self.passing[index]
        return self._before[index] + min(end, beats) - begin


def _first(events: Sequence[tuple[float, float]], at: int, least: float, which: int) -> int:
    """Index, from `at` on, of the first event whose item `which` is `least` or more; else their number."""
    while at < len(events) and events[at][which] < least:
        at += 1
    return at


class Bus:
    """The bus of one image.

    Parameters
    ----------
    channels
        In the order of their turns.
    bus_bytes
        Bytes per beat.
    latency, cycles_per_beat
        The memory's: from a request to its first beat, and on average between beats.
    start
        When the channels are opened.
    near
        The memory is on the chip.
    """

    def __init__(
        self,
        channels: dict[str, Channel],
        bus_bytes: int,
        latency: int,
        cycles_per_beat: float,
        start: int,
        near: bool = False,
    ) -> None:
        self.channels = channels
        self._burst = burst_bytes(bus_bytes, near) // bus_bytes
        self._outstanding = outstanding(bus_bytes, near)
        self._latency, self._beat = latency, cycles_per_beat
        self._order = list(channels.values())
        self._turn = len(channels) - 1
        self._turns = [[*range(turn + 1, len(channels)), *range(turn + 1)] for turn in range(len(channels))]
        """The channels in order of their next turns, by the channel whose turn it was last."""
        names = list(channels)
        self._rivals = tuple(names.index(name) if name in channels else -1 for name in ("pixels", "weights"))
        self.opening: Callable[[], object] = lambda: None
        """Called before each burst: opens gates."""
        self._request = float(start)
        self._ends: list[float] = [float(start)]
        self._weights_begin: list[float] = []
        self._weights_end: list[float] = []

    def weights_first(self, begin: float) -> None:
        """Weights go before pixels from cycle `begin` on, until `pixels_first`."""
        self._weights_begin.append(begin)
        self._weights_end.append(math.inf)

    def pixels_first(self, begin: float) -> None:
        """Pixels go before weights from cycle `begin` on."""
        self._weights_end[-1] = begin

    def known(self, name: str, beats: int) -> float | None:
        """When the first `beats` of a channel are there, if they have been asked for."""
        arrived = self.channels[name].arrived
        there = bool(arrived) and arrived[-1][0] >= min(beats, self.channels[name].beats)
        return self.arrival(name, beats) if there else None

    def proceed(self) -> bool:
        """Read one more burst, whoever's; False when every channel waits for a consumer."""
        return self._next()

    def until(self, time: float) -> float:
        """Read what is asked for up to `time`, whoever's; returns when the last beat has come."""
        while self._next(time):
            pass
        return self._ends[-1]

    def arrival(self, name: str, beats: int) -> float:
        """When the first `beats` of a channel are there."""
        channel = self.channels[name]
        beats = min(beats, channel.beats)
        if beats <= 0:
            return 0.0
        while not channel.arrived or channel.arrived[-1][0] < beats:
            if not self._next():
                break
        index = bisect_left(channel.arrived, (beats, 0.0))
        if index == len(channel.arrived):
            return self._ends[-1]
        total, end = channel.arrived[index]
        return end - (total - beats) * self._beat

    def _next(self, until: float = math.inf) -> bool:
        """Read one more burst; False when every channel waits for a consumer, or it is asked for later."""
        self.opening()
        if len(self._ends) > self._outstanding:
            self._request = max(self._request, self._ends[-self._outstanding] + SLOT)
        times = [
            math.inf if (time := channel.ready(self._burst)) is None else time for channel in self._order
        ]
        least = min(times)
        if least == math.inf or max(self._request, least) > until:
            return False
        request = self._request = max(self._request, least)
        pixels, weights = self._rivals
        passed = -1
        if pixels >= 0 and weights >= 0 and times[pixels] <= request and times[weights] <= request:
            passed = pixels if self._prefers_weights(request) else weights
        turn = next(turn for turn in self._turns[self._turn] if times[turn] <= request and turn != passed)
        self._read(self._order[turn], turn)
        return True

    def _prefers_weights(self, time: float) -> bool:
        index = bisect_right(self._weights_begin, time) - 1
        return index >= 0 and time < self._weights_end[index]

    def _read(self, channel: Channel, turn: int) -> None:
        size = channel.size(self._burst)
        begin = max(self._request + self._latency, self._ends[-1])
        end = begin + size * self._beat
        channel.arrive(size, self._request, end)
        self._ends.append(end)
        self._turn = turn
        self._request += 1


def beats_of(size: int, bus_bytes: int) -> int:
    """Beats that hold `size` bytes."""
    return ceil_div(size, bus_bytes)
