# SPDX-License-Identifier: Apache-2.0
"""The Image's and the input's streams in the cycle model: when the machine has what it waits for."""

from __future__ import annotations

import math

from hlsgen.machine.format.commands import COMMAND_BYTES
from hlsgen.machine.format.constants import ConstantMap, constant_map, word_bytes
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.parameters import SECTION_ALIGN
from hlsgen.machine.time.bus import Bus, Channel, beats_of
from hlsgen.machine.time.constant_reader import ConstantReader
from hlsgen.machine.time.depths import COMMANDS_AHEAD, channel_beats, queue_depth
from hlsgen.machine.time.latency import BEAT, START
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
    passing = [
        (sections.read(int(a * bus_bytes) + 1) - 1, sections.read(int(b * bus_bytes)))
        for a, b in channel.passing
    ]
    ranges = sorted((*passing, *sections.padding))
    channel.passing = tuple((begin / bus_bytes, end / bus_bytes) for begin, end in ranges)
    channel.__post_init__()
    return sections


class Streams:
    """The Image's and the input's streams, in units of what the machine takes from them."""

    def __init__(self, plan: Plan, image: Image, memory: ExternalMemory) -> None:
        program = plan.program
        p = self._p = program.parameters
        buffers = channel_beats(p, memory.near)
        words = constant_map(plan.constants, p.columns)
        self.offsets = words.offsets
        passing = tuple((begin / p.bus_bytes, end / p.bus_bytes) for begin, end in words.passing)

        def channel(name: str, ring: int, ranges: tuple[tuple[float, float], ...] = ()) -> Channel:
            offset, size = sections[name]
            beats = beats_of(-(-size // 64) * 64, p.bus_bytes)
            return Channel(beats, buffers[name], ring / p.bus_bytes, ranges, offset // p.bus_bytes)

        sections = _sections(image)
        for name, size in (("constants", len(plan.constants)), ("weights", plan.weight_bytes)):
            sections[name] = (sections[name][0], size)
        constants = p.constant_words * word_bytes(p.columns)
        addends = queue_depth(p) * p.row_width * p.columns * 2
        found = {
            "commands": channel("commands", COMMAND_BYTES * (1 + (COMMANDS_AHEAD if p.planned else 0))),
            "pixels": channel("pixels", image.input_bytes),
            "weights": channel("weights", p.ring_words * p.columns * p.depth),
            "constants": channel("constants", constants, passing),
            "addends": channel("addends", addends),
        }
        if p.streamed:
            found["operands"] = operand_channel(program, buffers["operands"])
        channels = {name: found[name] for name in buffers if name in found}  # in the order of their turns
        self._sections: dict[str, Sections] = {}
        if p.planned:
            for name in ("weights", "constants"):
                self._sections[name] = _divide(channels[name], plan, name, sections[name][0])
        start = START + memory.latency
        self.bus = Bus(channels, p.bus_bytes, memory.latency, memory.cycles_per_beat, start, memory.near)
        self.taken = dict.fromkeys(channels, 0)
        self.operands = OperandStream(p, self.bus, BEAT)
        self.planner = Planner(plan, self.bus) if p.planned else None
        if self.planner:
            self.bus.opening = self.planner.advance
        self._reader = self._constants(words)

    def _constants(self, words: ConstantMap) -> ConstantReader:
        p, sections = self._p, self._sections.get("constants")
        place = sections.read if sections else int
        return ConstantReader(words, word_bytes(p.columns), p.constant_words, self.bus, p.bus_bytes, place)

    def wait(self, name: str, size: int) -> int:
        """When `size` bytes in all of a stream are words in the machine."""
        if name == "constants":
            return self._reader.there(size)
        if name in self._sections:
            size = self._sections[name].read(size)
        return math.ceil(self.bus.arrival(name, beats_of(size, self._p.bus_bytes))) + BEAT

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
        self.taken[name] += size
        if name == "constants":
            self._reader.take(time)
        self.bus.channels[name].free(time, self.taken[name] / self._p.bus_bytes)
