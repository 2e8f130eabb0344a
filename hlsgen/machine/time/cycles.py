# SPDX-License-Identifier: Apache-2.0
"""The cycle model: predicts the RTL's cycles for one image of a Program, in milliseconds.

It follows the machine's rules (docs/machine.md, "Hazards") job by job and block by block, never cycle by
cycle: when a tile is loaded, when its weights are there, when its accumulators are free, when its results
have drained. The latencies are the RTL's, of `hlsgen/machine/time/latency.py`; tests hold the prediction
against measured runs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from hlsgen.machine.format.commands import COMMAND_BYTES, Command, Depends, Product, Target
from hlsgen.machine.format.constants import block_words, word_bytes
from hlsgen.machine.format.image import HEADER_BYTES, Image
from hlsgen.machine.format.interface import CONTEXT, SCORES
from hlsgen.machine.format.parameters import SECTION_ALIGN, ceil_div
from hlsgen.machine.format.program import Program
from hlsgen.machine.modes.jobs import Job
from hlsgen.machine.modes.mode import ProductMode
from hlsgen.machine.modes.table import LOADS, PRODUCTS, TARGETS
from hlsgen.machine.time.bus import beats_of
from hlsgen.machine.time.depths import JOBS_AHEAD, SETTLED, burst_bytes
from hlsgen.machine.time.group_queue import DrainQueues
from hlsgen.machine.time.latency import (
    ACCEPT,
    ADDEND_TAKEN,
    DECODE,
    FINISH,
    KEYS_LISTED,
    LOAD_JOBS,
    OPERANDS_THERE,
    RECOUNT,
    RESIZED,
    WRITTEN,
)
from hlsgen.machine.time.memory import ExternalMemory
from hlsgen.machine.time.operand_stream import operand_bytes
from hlsgen.machine.time.plan import Plan, Routing, make_plan
from hlsgen.machine.time.stages import stage_times
from hlsgen.machine.time.streams import Streams

AHEAD = JOBS_AHEAD + 2
"""Jobs that a stage's queue holds, one of them in its output's register."""


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
    memory: ExternalMemory | None = None,
    routing: Routing | None = None,
    target: str = "generic",
) -> Prediction:
    """Predict one image of a Program; the Image tells how much is read, and when.

    routing: for a machine that may skip commands the task and the queues, without which they are even.
    target: what the RTL is made for.
    """
    plan = make_plan(program, image, routing or Routing())
    model = _Model(plan, image, memory or ExternalMemory(), target)
    for index, command in plan.commands:
        model.command(index, command)
    return model.finish()


def bytes_read(plan: Plan, image: Image) -> int:
    """What a run reads of Image, input, and keys and values in external memory."""
    size = HEADER_BYTES + image.input_bytes + plan.image_bytes(image)
    return size + operand_bytes(plan.program)


@dataclass
class _Progress:
    """When the last row of each tile of a command's last sweep, and the command's last row, were written."""

    tiles: list[int]
    done: int = 0


class _Model:
    """One pass over the jobs of all commands."""

    def __init__(self, plan: Plan, image: Image, memory: ExternalMemory, target: str) -> None:
        program = plan.program
        self.p, self.t = program.parameters, stage_times(program.parameters, target)
        self.plan, self.program, self.image, self.memory = plan, program, image, memory
        self.streams = Streams(plan, image, memory)
        self.progress: list[_Progress] = []
        self.load_free = self.load_next = self.load_done = self.multiply_free = 0
        self.last_step, self.last_rows = -(1 << 30), 0
        self.setting: tuple[int, ...] = ()
        self.scale: tuple[int, ...] = ()
        self.issued = self.words = self.addends = self.constants = 0
        self.queues = DrainQueues(self.p)
        self.slots: list[int] = []  # when MULTIPLY had read each job's slot
        ends = accumulate(sum(1 for _ in PRODUCTS[c.product].jobs(self.p, c)) for _, c in plan.commands)
        bytes_to = ((index + 1) * COMMAND_BYTES for index, _ in plan.commands)
        self.ahead = deque(zip(ends, bytes_to, strict=True))
        """Commands that the sequencer has not let go of: jobs and bytes up to each one's end."""
        self._sequence()
        self.scores_done: dict[int, int] = {}
        self.times: list[JobTimes] = []
        self.begun: list[int] = []
        """Numbers of the commands so far."""

    # -- one command -------------------------------------------------------------------------------------

    def command(self, index: int, command: Command) -> None:
        """All jobs of one command."""
        ready = self._begin(index)
        progress = _Progress([])
        self.progress.append(progress)
        constants = self._constants(command)
        base = done = 0
        if command.span:
            depends = self.progress[command.operand_depends_on].done
            burst = 2 * beats_of(SECTION_ALIGN, self.p.bus_bytes)
            written = depends + WRITTEN + burst + self.memory.latency + SETTLED
            self.streams.operands.open(command, max(written, ready))
        product = PRODUCTS[command.product]
        for job in product.jobs(self.p, command):
            rows = command.tile_rows(job.tile, self.p.rows)
            start, end = self._load(command, job, ready)
            if job.tile == 0:
                base = self.words
            first = self._multiply(command, job, rows, end, base, constants)
            done = self.last_step + self.t.drain + self.p.row_groups(rows) - 1
            if job.kind == SCORES:
                self.scores_done[job.slot] = done
            if product.weighs(job) and job.tile == command.tiles - 1:
                self.words += job.blocks * command.ring_words
            if product.is_final(command, job):
                progress.tiles.append(done)
            self.times.append(JobTimes(index, job, start, end, first, self.multiply_free, done))
            self._sequence()
        progress.done = done
        self.streams.drained(index, done)
        planner = self.streams.planner
        if planner and (routed := TARGETS[command.target].routed(self.p, self.t, command, progress.tiles)):
            planner.routings.append(routed)

    def _begin(self, index: int) -> int:
        """When the command can begin: it has come, and where it gathers, its tokens' queues are known."""
        ready = self.streams.given(len(self.begun), index) + DECODE
        self.begun.append(index)
        while len(self.progress) < index:  # what is skipped is over with what came before it
            self.progress.append(self.progress[-1] if self.progress else _Progress([]))
            self.streams.drained(len(self.progress) - 1, self.progress[-1].done)
        return ready

    def _sequence(self) -> None:
        """The sequencer lets go of a command when its last job has room in the stages' queues.

        The queues hold the jobs behind the one that MULTIPLY is at.
        """
        while self.ahead and self.ahead[0][0] <= len(self.slots) + AHEAD:
            jobs, size = self.ahead.popleft()
            before = jobs - AHEAD - 1
            time = self.slots[before] if before >= 0 else 0
            if self.streams.planner:
                self.streams.planner.released.append(time)
            else:
                self.streams.take("commands", size - self.streams.taken["commands"], time)

    def _constants(self, command: Command) -> int:
        """Bytes of the constant stream before this command's constant words."""
        if PRODUCTS[command.product].constant:
            self.constants = self.streams.offsets.pop(0)
        return self.constants

    def _constants_to(self, offset: int, blocks: int) -> int:
        """Bytes of the constant stream up to the last of some blocks, whose words begin at `offset`."""
        return offset + block_words(blocks) * word_bytes(self.p.columns)

    def _release(self, product: ProductMode, command: Command, job: Job, end: int) -> None:
        """A block's weights and constants leave their rings: the last tile has taken them."""
        if product.weighs(job):
            self.streams.take("weights", command.ring_words * self.p.columns * self.p.depth, end)
        if product.constant:
            self.streams.take("constants", word_bytes(self.p.columns), end + self.t.select)

    # -- LOAD --------------------------------------------------------------------------------------------

    def _load(self, command: Command, job: Job, ready: int) -> tuple[int, int]:
        """When the tile's reads began and when it was handed over."""
        mode = LOADS[command.load]
        setting = mode.setting(command, job)
        start = max(self.load_free, self.load_next, ready, self._wait(command, job))
        scale = mode.scale(command, job)
        if setting != self.setting or mode.alone or scale not in (None, self.scale):
            # another pipeline: the tiles before must be complete
            start = max(start, self.load_done + ACCEPT)
        self.setting, self.scale = setting, scale or self.scale
        number = len(self.slots)
        if number >= self.p.tile_slots:
            start = max(start, self.slots[number - self.p.tile_slots] + ACCEPT)
        time = mode.time(self.p, self.t, command, job)
        end = start + time.reads
        if time.pixels:
            came = self.streams.wait("pixels", time.pixels * self.p.columns)
            end = max(end, came + time.after_pixels)
        self.load_free, self.load_next, self.load_done = end, start + LOAD_JOBS, end + time.there
        return start, end + time.there

    def _wait(self, command: Command, job: Job) -> int:
        """When what the job reads has drained."""
        if job.kind == CONTEXT:
            return self.scores_done[job.slot] + self.t.read_scores
        if command.depends is Depends.NONE:
            return 0
        progress = self.progress[command.depends_on]
        if command.depends is Depends.TILE and job.tile < len(progress.tiles):
            return progress.tiles[job.tile] + self.t.read_drained
        return progress.done + self.t.read_drained

    # -- MULTIPLY and DRAIN ------------------------------------------------------------------------------

    def _multiply(self, command: Command, job: Job, rows: int, loaded: int, base: int, constants: int) -> int:
        """Issue all blocks of a job; returns its first step."""
        first = start = self._first_step(command, job, loaded)
        steps, product = job.steps, PRODUCTS[command.product]
        weighted = product.weighs(job)
        if weighted and job.tile == 0:
            self.streams.bus.weights_first(first)
        adds = command.stream_addend or (job.kind == SCORES and command.takes_addends(job.head))
        groups, counts = self.p.row_groups(rows), bool(adds) or self._leaves(command)
        addend_bytes = self.p.padded_rows(rows) * self.p.columns * 2
        for block in range(job.blocks):
            end = start + steps - 1  # the block's last step
            if job.tile == 0:
                end = max(end, self._taken(product, command, job, block, base, constants))
            if adds:
                self.addends += addend_bytes
                end = max(end, self.streams.wait("addends", self.addends))
            end = max(end, self.last_step + max(self.last_rows, RECOUNT if counts else 1))
            if self._leaves(command):
                end = self.queues.output(end, groups, self.t.drain)
            if adds:
                end = self._take_addends(end, groups, addend_bytes)
            if job.tile == command.tiles - 1:
                self._release(product, command, job, end)
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

    def _take_addends(self, end: int, groups: int, size: int) -> int:
        """When a block may end that takes `size` bytes of the addend stream, and would end at `end`."""
        end = self.queues.addends(end, groups, self.t.drain)
        for group in range(groups):
            self.streams.take("addends", size // groups, end + self.t.drain + group - ADDEND_TAKEN)
        return end

    def _leaves(self, command: Command) -> bool:
        """Whether a command's results leave the machine."""
        stored = self.p.streamed and command.target in (Target.KEYS, Target.VALUES)
        return command.target is Target.OUTPUT or stored

    def _taken(
        self, product: ProductMode, command: Command, job: Job, block: int, base: int, constants: int
    ) -> int:
        """When a first tile's block has its weights and its constants; for later tiles both are there."""
        there = 0
        if product.weighs(job):
            size = (base + (block + 1) * command.ring_words) * self.p.columns * self.p.depth
            there = self.streams.wait("weights", size)
        if product.constant:
            size = self._constants_to(constants, job.first_block + block + 1)
            there = max(there, self.streams.wait("constants", size))
        return there

    def _first_step(self, command: Command, job: Job, loaded: int) -> int:
        """When a job's first step can be issued: its rows are loaded, and keys or values are there."""
        start = max(self.multiply_free, loaded)
        if job.opens:
            start = max(start, self.streams.operands.there(job.reading, job.kind == CONTEXT) + 2)
        elif command.product is not Product.WEIGHTS and not command.span:
            written = self.progress[command.operand_depends_on].done
            start = max(start, written + self.t.operands_drained + KEYS_LISTED * (command.key_runs > 0))
            if job.kind != CONTEXT and job.tile == job.head == job.sweep == 0:
                start = max(start, self.multiply_free + OPERANDS_THERE)
        return start

    def finish(self) -> Prediction:
        """The prediction for everything so far."""
        done = self.progress[-1].done
        cycles = self._left(done) + FINISH + self.memory.latency
        cycles = max(cycles, math.ceil(self.streams.bus.until(done)))  # reads under way are waited for
        size = bytes_read(self.plan, self.image)
        useful = self.program.task_macs[self.plan.task] / (cycles * self.p.lanes)
        arrivals = {name: tuple(channel.arrived) for name, channel in self.streams.bus.channels.items()}
        return Prediction(cycles, self.issued, useful, size, tuple(self.times), arrivals)

    def _left(self, done: int) -> int:
        """When the output's last burst has been sent; its last result was written at `done`.

        Zeros fill up the output, a word or a beat each. A burst is sent when all of it is there and the one
        before has been sent.
        """
        p, size = self.p, self.image.output_bytes
        drained = self.program.drained_size(self.plan.task) if self.program.outputs else size
        word = 2 * p.columns * p.row_width
        padding = ceil_div(size - drained, min(p.bus_bytes, word))
        burst, written = burst_bytes(p.bus_bytes, self.memory.near), self.queues.written
        there = max([done, *written[-1:]]) + padding
        before = (ceil_div(size, burst) - 1) * burst if size else 0
        if 0 < before <= drained and (words := ceil_div(drained - before, word)) < len(written):
            there = max(there, written[-1 - words] + beats_of(burst, p.bus_bytes))
        return there + beats_of(size - before, p.bus_bytes) - (RESIZED if word == p.bus_bytes else 0)
