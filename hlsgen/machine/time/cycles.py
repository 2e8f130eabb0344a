# SPDX-License-Identifier: Apache-2.0
"""The cycle model: predicts the RTL's cycles for one image of a Program, in milliseconds.

It follows the machine's rules (docs/design.md, "Hazards") job by job and block by block, never cycle by
cycle: when a tile is loaded, when its weights are there, when its accumulators are free, when its results
have drained. The latencies in `Timing` are the RTL's; a test holds the prediction against measured runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hlsgen.machine.format.commands import COMMAND_BYTES, Command, Depends, Load, Product, Target
from hlsgen.machine.format.constants import block_words, constant_offsets, word_bytes
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.interface import CONTEXT, SCORES
from hlsgen.machine.format.parameters import ceil_div
from hlsgen.machine.format.program import Program
from hlsgen.machine.run.jobs import Job, jobs
from hlsgen.machine.time.bus import Bus, Channel, beats_of
from hlsgen.machine.time.depths import (
    NORM_ROW_CYCLES,
    ROM_LATENCY,
    SETTLED,
    channel_beats,
    queue_depth,
    route_pace,
)
from hlsgen.machine.time.operand_stream import WRITTEN, OperandStream, operand_bytes, operand_channel
from hlsgen.machine.time.plan import Plan, Routing, make_plan
from hlsgen.numerics import GateMode


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The external memory: cycles from a request to its first beat, and between beats on average.

    near: it is on the chip, and the RTL was made for that.
    """

    latency: int = 32
    cycles_per_beat: float = 1.0
    near: bool = False


ON_CHIP = Memory(latency=ROM_LATENCY, near=True)
"""The Image in block RAM, as on boards without external memory."""


def board_memory(image: str) -> Memory:
    """The memory of a board whose Image lies `on_chip` or `external`."""
    return ON_CHIP if image == "on_chip" else Memory()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Latencies of the RTL in cycles; `tests/sim` holds them against runs."""

    header: int = 36  # start register to the channels, without the memory's latency
    decode: int = 8  # a command has arrived: to its first job's first read
    accept: int = 2  # a slot is free, the pipeline empty: to the next job's first read
    fixed: int = 15  # rows, exp, patches: last read to the tile's hand-over
    norm: int = 48  # layer norm: a row's last read to its first word in the tile
    norm_row: int = NORM_ROW_CYCLES  # layer norm: least cycles between rows
    patch: int = 2  # patches: read of a pixel after it came
    drain: int = 21  # a block's last step to its first row in memory
    lead: int = 5  # a reader may start that much before the row is written
    stream: int = 6  # a beat to the word it completes in the machine
    gate: int = 6  # added to `drain` in machines with experts
    plan: int = 16  # a routing is complete: to the first expert's command at the sequencer
    route: int = 40  # a token's last logit to its last queue entry, beyond a token's time
    finish: int = 12  # last row to done, without the output's beats and the write's latency


@dataclass(frozen=True)
class JobTimes:
    """When one job's stages ran, in cycles from start: for the report's time line."""

    command: int
    job: Job
    load_start: int
    load_end: int
    multiply_start: int
    multiply_end: int
    drain_end: int


@dataclass(frozen=True)
class Prediction:
    """Cycles of one image and what made them.

    multiply: cycles in which MULTIPLY issues a step. useful: useful MACs over cycles times the array's MACs.
    """

    cycles: int
    multiply: int
    useful: float
    bytes_read: int
    jobs: tuple[JobTimes, ...] = field(repr=False)
    arrivals: Mapping[str, tuple[tuple[int, float], ...]] = field(repr=False)
    """Beats in all, and when the last of them came, after each burst of each read channel."""


def predict(
    program: Program,
    image: Image,
    memory: Memory | None = None,
    timing: Timing | None = None,
    routing: Routing | None = None,
) -> Prediction:
    """Predict one image of a Program; the Image tells how much is read, and when.

    routing: for a machine that may skip commands the task and the queues, without which they are even.
    """
    plan = make_plan(program, image, routing or Routing())
    model = _Model(plan, image, memory or Memory(), timing or Timing())
    for index, command in plan.commands:
        model.command(index, command)
    return model.finish()


@dataclass
class _Progress:
    """When tiles of a command's last group, and all of it, had drained."""

    tiles: list[int]
    done: int = 0


def _sections(image: Image) -> dict[str, tuple[int, int]]:
    """Offset and bytes of what each channel reads; Image and input begin at multiples of a burst."""
    sections, offset = {"pixels": (0, image.input_bytes)}, HEADER_BYTES
    parts = (image.program, image.constants, image.weights, image.addends)
    for name, data in zip(("commands", "constants", "weights", "addends"), parts, strict=True):
        sections[name] = (offset, len(data))
        offset += -(-len(data) // 64) * 64
    return sections


class _Streams:
    """The Image's and the input's streams, in units of what the machine takes from them."""

    def __init__(self, plan: Plan, image: Image, memory: Memory, timing: Timing) -> None:
        program = plan.program
        p, self._late = program.parameters, timing.stream
        self._p = p
        buffers = channel_beats(p, memory.near)
        self.offsets, ranges = constant_offsets(plan.constants, p.columns)
        passing = tuple((begin / p.bus_bytes, end / p.bus_bytes) for begin, end in ranges)

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
            "commands": channel("commands", 2 * COMMAND_BYTES),
            "pixels": channel("pixels", image.input_bytes),
            "weights": channel("weights", p.ring_words * p.columns * p.depth),
            "constants": channel("constants", constants, passing),
            "addends": channel("addends", addends),
        }
        if p.streamed:
            found["operands"] = operand_channel(program, buffers["operands"])
        channels = {name: found[name] for name in buffers if name in found}  # in the order of their turns
        if p.planned:
            channels["weights"].gates, channels["constants"].gates = [], []
        header = timing.header + memory.latency + HEADER_BYTES // p.bus_bytes
        self.bus = Bus(channels, p.bus_bytes, memory.latency, memory.cycles_per_beat, header, memory.near)
        self.taken = dict.fromkeys(channels, 0)
        self.operands = OperandStream(p, self.bus, timing.stream)

    def wait(self, name: str, size: int) -> int:
        """When `size` bytes in all of a stream are words in the machine."""
        return math.ceil(self.bus.arrival(name, beats_of(size, self._p.bus_bytes))) + self._late

    def take(self, name: str, size: int, time: int) -> None:
        """The machine lets go of `size` more bytes of a stream at `time`."""
        self.taken[name] += size
        self.bus.channels[name].free(time, self.taken[name] / self._p.bus_bytes)


class _Model:
    """One pass over the jobs of all commands."""

    def __init__(self, plan: Plan, image: Image, memory: Memory, timing: Timing) -> None:
        program = plan.program
        self.p, self.t = program.parameters, timing
        self.plan, self.program, self.image, self.memory = plan, program, image, memory
        self.streams = _Streams(plan, image, memory, timing)
        self.routed = 0
        self._open(0)
        self.progress: list[_Progress] = []
        self.load_free = self.load_done = self.multiply_free = 0
        self.last_step, self.last_rows = -(1 << 30), 0
        self.norm: tuple[int, ...] | None = None
        self.issued = self.words = self.addends = self.constants = 0
        self.slots: list[int] = []  # when MULTIPLY had read each job's slot
        self.scores_done: dict[int, int] = {}
        self.times: list[JobTimes] = []
        self.opened = 0

    # -- one command -------------------------------------------------------------------------------------

    def command(self, index: int, command: Command) -> None:
        """All jobs of one command."""
        ready = self.streams.wait("commands", (index + 1) * COMMAND_BYTES) + self.t.decode
        while len(self.progress) < index:  # what is skipped is over with what came before it
            self.progress.append(self.progress[-1] if self.progress else _Progress([]))
        progress = _Progress([])
        self.progress.append(progress)
        if command.gather:
            if self.routed:
                self._open(index)
            ready = max(ready, self.routed + self.t.plan)
            self.opened, self.routed = max(self.opened, self.routed), 0
            ready = max(ready, self.opened + self.t.plan)
        constants = self._constants(command)
        base = done = 0
        if command.span:
            depends = self.progress[command.operand_depends_on].done
            written = depends + self.t.lead + WRITTEN + self.memory.latency + SETTLED
            self.streams.operands.open(command, max(written, ready))
        for job in jobs(command):
            rows = command.tile_rows(job.tile, self.p.rows)
            start, end = self._load(command, job, rows, ready)
            if job.tile == 0:
                base = self.words
            first = self._multiply(command, job, rows, end, base, constants)
            done = self.last_step + self._drain() + self.p.row_groups(rows) - self.t.lead
            if job.kind == SCORES:
                # The row maxima come out of a comparison tree of registers.
                self.scores_done[job.slot] = done + self.p.columns.bit_length() - 1
            if command.product is Product.WEIGHTS and job.tile == command.tiles - 1:
                self._release(command, job)
            if self._final(command, job):
                progress.tiles.append(done)
            self.times.append(JobTimes(index, job, start, end, first, self.multiply_free, done))
        self.streams.take(
            "commands", (index + 1) * COMMAND_BYTES - self.streams.taken["commands"], self.load_free
        )
        progress.done = done
        if command.target is Target.QUEUES:
            self.routed = self._route(command, progress)

    def _drain(self) -> int:
        """From a block's last step to its first row in memory."""
        return self.t.drain + (self.t.gate if self.p.experts else 0)

    def _route(self, command: Command, progress: _Progress) -> int:
        """When the last token of a router command is in its queues."""
        walk = ceil_div(command.experts, route_pace(self.p))
        sums = command.choices + 2 + (walk if command.gate_mode == GateMode.ALL else 0)
        token, done = max(walk + 6, sums, command.choices + 11), 0
        for index, drained in enumerate(progress.tiles):
            done = max(done, drained) + command.tile_rows(index, self.p.rows) * token
        return done + self.t.route + command.choices

    def _open(self, index: int) -> None:
        """Everything up to the next routing may be read as soon as this one is complete."""
        if not self.p.planned:
            return
        for name, size in self.plan.until_routing(index).items():
            gates = self.streams.bus.channels[name].gates
            if gates is not None:
                gates.append((beats_of(size, self.p.bus_bytes), self.routed + self.t.plan))

    def _final(self, command: Command, job: Job) -> bool:
        """Whether the job belongs to the command's last group or head."""
        if command.product is Product.WEIGHTS:
            return job.first_block + job.blocks == command.total_blocks
        return job.kind == CONTEXT and job.head == command.heads - 1

    def _constants(self, command: Command) -> int:
        """Bytes of the constant stream before this command's constant words."""
        if command.product is Product.WEIGHTS:
            self.constants = self.streams.offsets.pop(0)
        return self.constants

    def _constants_to(self, offset: int, blocks: int) -> int:
        """Bytes of the constant stream up to the last of some blocks, whose words begin at `offset`."""
        return offset + block_words(blocks) * word_bytes(self.p.columns)

    def _release(self, command: Command, job: Job) -> None:
        """A group's weights and constants leave their rings."""
        size = job.blocks * command.k_steps
        self.words += size
        self.streams.take("weights", size * self.p.columns * self.p.depth, self.multiply_free)
        self.streams.take("constants", job.blocks * word_bytes(self.p.columns), self.multiply_free)

    # -- LOAD --------------------------------------------------------------------------------------------

    def _load(self, command: Command, job: Job, rows: int, ready: int) -> tuple[int, int]:
        """When the tile's reads began and when it was handed over."""
        norm = self._norm(command, job)
        start = max(self.load_free, ready, self._wait(command, job))
        if norm != self.norm or command.load in (Load.POOL, Load.POOL_NORM):
            start = max(
                start, self.load_done + self.t.accept
            )  # another pipeline: the tiles before must be complete
        self.norm = norm
        number = len(self.slots)
        if number >= self.p.tile_slots:
            start = max(start, self.slots[number - self.p.tile_slots] + self.t.accept)
        cycles, latency = self._load_cycles(command, job, rows)
        end = start + cycles
        if command.load is Load.PATCHES:
            size = self._pixel_words(command, job, rows) * self.p.columns
            end = max(end, self.streams.wait("pixels", size) + self.t.patch)
        self.load_free, self.load_done = end, end + latency
        return start, end + latency

    def _norm(self, command: Command, job: Job) -> tuple[int, ...] | None:
        """What the layer norm pipeline must be set to, None for the other one."""
        if job.kind == CONTEXT or command.load not in (Load.LAYER_NORM, Load.POOL, Load.POOL_NORM):
            return None
        return command.norm_width, command.norm_epsilon, command.norm_gain, command.norm_gain_shift

    def _wait(self, command: Command, job: Job) -> int:
        """When what the job reads has drained."""
        if job.kind == CONTEXT:
            return self.scores_done[job.slot]
        if command.depends is Depends.NONE:
            return 0
        progress = self.progress[command.depends_on]
        if command.depends is Depends.TILE and job.tile < len(progress.tiles):
            return progress.tiles[job.tile]
        return progress.done

    def _load_cycles(self, command: Command, job: Job, rows: int) -> tuple[int, int]:
        """Cycles of reading, and from the last read to the hand-over."""
        words, groups = command.k_words, self.p.row_groups(rows)
        if job.kind == CONTEXT:
            return groups * command.exp_words, self.t.fixed
        if command.load is Load.LAYER_NORM:
            spacing = max(words, self.t.norm_row)
            return groups * spacing, self.t.norm + 2 * words - spacing
        if command.load is Load.PATCHES:
            segments = self.p.columns // math.gcd(command.patch_width, self.p.columns)
            return rows * words * segments, self.t.fixed
        if command.load is Load.POOL_NORM:
            return self.p.row_groups(command.pool_rows) * words, self.t.norm + words + self.t.fixed
        if command.load is Load.POOL:
            return self.p.row_groups(command.pool_rows) * words, self.t.fixed
        return groups * words, self.t.fixed

    def _pixel_words(self, command: Command, job: Job, rows: int) -> int:
        """Image words that must have come for the tile's last row."""
        patch = max(0, job.tile * self.p.rows + rows - 1 - command.patch_prefix)
        lines = (patch // command.patch_columns + 1) * command.patch_height
        return lines * command.patch_channels * command.row_words

    # -- MULTIPLY and DRAIN ------------------------------------------------------------------------------

    def _multiply(self, command: Command, job: Job, rows: int, loaded: int, base: int, constants: int) -> int:
        """Issue all blocks of a job; returns its first step."""
        start = max(self.multiply_free, loaded)
        steps = command.exp_steps if job.kind == CONTEXT else command.k_steps
        weighted = command.product is Product.WEIGHTS
        if job.opens:
            start = max(start, self.streams.operands.there(job.reading, job.kind == CONTEXT) + 2)
        elif not weighted and not command.span:
            start = max(start, self.progress[command.operand_depends_on].done)
        first = start
        if weighted and job.tile == 0:
            self.streams.bus.weights_first(first)
        word, groups = self.p.columns * self.p.depth, self.p.row_groups(rows)
        addend_bytes = self.p.padded_rows(rows) * self.p.columns * 2
        for block in range(job.blocks):
            end = start + steps - 1  # the block's last step
            if weighted and job.tile == 0:  # for later tiles both are there
                end = max(end, self.streams.wait("weights", (base + (block + 1) * steps) * word))
                size = self._constants_to(constants, job.first_block + block + 1)
                end = max(end, self.streams.wait("constants", size))
            if command.stream_addend:
                self.addends += addend_bytes
                end = max(end, self.streams.wait("addends", self.addends))
            end = max(end, self.last_step + self.last_rows)
            if command.stream_addend:
                self.streams.take("addends", addend_bytes, end + self._drain())
            self.last_step, self.last_rows = end, groups
            self.issued += steps
            start = end + 1
        if weighted and job.tile == 0:
            self.streams.bus.pixels_first(start)
        if job.closes:
            self.streams.operands.free(job.reading, job.kind == CONTEXT, start)
        self.multiply_free = start
        self.slots.append(start)
        return first

    def finish(self) -> Prediction:
        """The prediction for everything so far."""
        cycles = self.progress[-1].done + self.t.lead + self.t.finish + self.memory.latency
        if self.plan.commands[-1][1].target is Target.OUTPUT:
            cycles += ceil_div(self.image.output_bytes, self.p.bus_bytes)
        size = HEADER_BYTES + self.image.input_bytes + self.plan.image_bytes(self.image)
        size += operand_bytes(self.program)
        useful = self.program.task_macs[self.plan.task] / (cycles * self.p.lanes)
        arrivals = {name: tuple(channel.arrived) for name, channel in self.streams.bus.channels.items()}
        return Prediction(cycles, self.issued, useful, size, tuple(self.times), arrivals)
