# SPDX-License-Identifier: Apache-2.0
"""The Image's and the input's streams in the cycle model: when the machine has what it waits for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.constants import ConstantMap, constant_map, word_bytes
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.parameters import SECTION_ALIGN, MachineParameters, ceil_div
from hlsgen.machine.time.bus import Bus, Channel, beats_of
from hlsgen.machine.time.constant_reader import ConstantReader
from hlsgen.machine.time.depths import channel_beats, queue_depth
from hlsgen.machine.time.latency import BEAT, COMMAND, HEADER_WORD, START
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.operand_stream import OperandStream, operand_channel
from hlsgen.machine.time.plan import Plan
from hlsgen.machine.time.planner import Planner, Sections, sections_of


def _sections(image: Image) -> dict[str, tuple[int, int]]:
    """Offset and bytes of what each channel reads; Image and input begin at multiples of a burst."""
    sections, offset = {"pixels": (0, image.input_bytes)}, HEADER_BYTES
    parts = (image.program, image.constants, image.weights, image.addends)
    for name, data in zip(("commands", "constants", "weights", "addends"), parts, strict=True):
        sections[name] = (offset, len(data))
        offset += -(-len(data) // 64) * 64
    return sections


def _divide(channel: Channel, plan: Plan, name: str, offset: int) -> Sections:
    """Let a channel read the sections of the commands that run, one by one, as the planner opens them."""
    bus_bytes, found = plan.program.parameters.bus_bytes, sections_of(plan, name)
    sections = Sections(found)
    channel.gates, channel.beats = [], (sections.ends[-1][1] if sections.ends else 0) // bus_bytes
    channel.stops = [end // bus_bytes for _, end in sections.ends]
    channel.places = [(offset + each.place * SECTION_ALIGN) // bus_bytes for each in found if each]
    if name == "weights":  # the reader of constants says what has left
        channel.passing = tuple((begin / bus_bytes, end / bus_bytes) for begin, end in sections.padding)
    channel.__post_init__()
    return sections


@dataclass
class Pace:
    """When words narrower than a beat have left their beats: one a cycle.

    Parameters
    ----------
    word, beat
        Bytes of a word, of a beat.
    cycles
        From a beat to the next one.
    """

    word: int
    beat: int
    cycles: float
    _burst: int = 0
    _beats: int = 0
    _time: int = 0

    def there(self, channel: Channel, size: int, came: int) -> int:
        """When the first `size` bytes are words; the beat of the last of them `came` as its first word."""
        each, words = self.beat // self.word, ceil_div(size, self.word)
        while self._burst < len(channel.arrived) and channel.arrived[self._burst][0] * each < words:
            self._time = self._left(channel, self._burst, each, channel.arrived[self._burst][0] * each)
            self._beats = channel.arrived[self._burst][0]
            self._burst += 1
        if self._burst == len(channel.arrived):
            return came
        return max(came + (words - 1) % each, self._left(channel, self._burst, each, words))

    def _left(self, channel: Channel, burst: int, each: int, words: int) -> int:
        """When so many words have left, of which the last one is in this burst."""
        beats, end = channel.arrived[burst]
        first = math.ceil(end - (beats - self._beats) * self.cycles) + BEAT
        return max(self._time + 1, first) + words - self._beats * each - 1


def _paces(p: MachineParameters, cycles: float) -> dict[str, Pace]:
    """Of the channels whose words are narrower than a beat; the reader of constants has its own."""
    words = {
        "pixels": p.columns,
        "weights": p.columns * p.depth,
        "addends": 2 * p.columns * p.row_width,
    }
    return {name: Pace(word, p.bus_bytes, cycles) for name, word in words.items() if word < p.bus_bytes}


class Streams:
    """The Image's and the input's streams, in units of what the machine takes from them."""

    def __init__(self, plan: Plan, image: Image, memory: ExternalMemory) -> None:
        program = plan.program
        p = self._p = program.parameters
        buffers = channel_beats(p, memory.near)
        words = constant_map(plan.constants, p.columns)
        self.offsets = words.offsets

        def channel(name: str, ring: int) -> Channel:
            offset, size = sections[name]
            beats = beats_of(-(-size // 64) * 64, p.bus_bytes)
            paced = name in ("commands", "constants")  # words that wait for whoever takes them
            return Channel(beats, buffers[name], ring / p.bus_bytes, offset // p.bus_bytes, paced)

        sections = _sections(image)
        for name, size in (("constants", len(plan.constants)), ("weights", plan.weight_bytes)):
            sections[name] = (sections[name][0], size)
        word = 2 * p.columns * p.row_width
        addends = (queue_depth(p) + 1) * word + max(word, p.bus_bytes)
        found = {
            "commands": channel("commands", COMMAND_BYTES),
            "pixels": channel("pixels", image.input_bytes),
            "weights": channel("weights", p.ring_words * p.columns * p.depth),
            "constants": channel("constants", max(word_bytes(p.columns), p.bus_bytes)),
            "addends": channel("addends", addends),
        }
        if p.streamed:
            found["operands"] = operand_channel(program, buffers["operands"])
        channels = {name: found[name] for name in buffers if name in found}  # in the order of their turns
        self._paces = _paces(p, memory.cycles_per_beat)
        self._sections: dict[str, Sections] = {}
        if p.planned:
            for name in ("weights", "constants"):
                self._sections[name] = _divide(channels[name], plan, name, sections[name][0])
        start = START + (p.bus_bytes > HEADER_WORD) + memory.latency
        self.bus = Bus(channels, p.bus_bytes, memory.latency, memory.cycles_per_beat, start, memory.near)
        self.taken = dict.fromkeys(channels, 0)
        self.operands = OperandStream(p, self.bus, BEAT)
        self.planner = Planner(plan, self.bus) if p.planned else None
        self._reader = self._constants(words, len(plan.constants))
        self.bus.opening = self._advance

    def _constants(self, words: ConstantMap, size: int) -> ConstantReader:
        p, sections = self._p, self._sections.get("constants")
        place = sections.read if sections else int
        word = word_bytes(p.columns)
        return ConstantReader(words, word, p.constant_words, self.bus, p.bus_bytes, size, place)

    def _advance(self) -> None:
        """Before each burst: what is known of planner and reader opens gates and leaves room."""
        if self.planner:
            self.planner.advance()
        self._reader.advance()

    def wait(self, name: str, size: int) -> int:
        """When `size` bytes in all of a stream are words in the machine."""
        if name == "constants":
            return self._reader.there(size)
        if name in self._sections:
            size = self._sections[name].read(size)
        there = math.ceil(self.bus.arrival(name, beats_of(size, self._p.bus_bytes)))
        there += COMMAND if name == "commands" else BEAT
        pace = self._paces.get(name)
        return pace.there(self.bus.channels[name], size, there) if pace else there

    def given(self, at: int, number: int) -> int:
        """When command `number`, of those that run the one at `at`, is the sequencer's."""
        if self.planner is None:
            return self.wait("commands", (number + 1) * COMMAND_BYTES)
        while len(self.planner.given) <= at and self.bus.proceed():
            pass
        self.planner.advance()
        given = self.planner.given
        return given[at] if at < len(given) else self.wait("commands", (number + 1) * COMMAND_BYTES)

    def drained(self, command: int, time: int) -> None:
        """A command has drained: the tables that waited for it are written."""
        self._reader.drained(command, time)

    def take(self, name: str, size: int, time: int) -> None:
        """The machine lets go of `size` more bytes of a stream at `time`."""
        if name == "constants":
            self._reader.take(time)
            return
        self.taken[name] += size
        self.bus.channels[name].free(time, self.taken[name] / self._p.bus_bytes)
